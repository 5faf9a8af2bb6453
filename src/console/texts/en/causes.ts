/** Why a task is in its state, as sentences; and why one worker has not got it, as what goes on after the worker's name. */
import type { Cause } from "../../../client/index.ts";
import type { CauseValues } from "../cause-values.ts";
import { tasksText } from "./common.ts";

export const causes: Record<Cause["code"], (told: CauseValues) => string> = {
  in_state: ({ state }) => `It is ${state.toLowerCase()}.`,
  tools_denied: ({ said }) => `But its CLI was not allowed to use: ${said}.`,
  dead: ({ count, of }) => `It is dead after ${count} of ${of} attempts.`,
  not_started: () => "It is dead: it was not started in time.",
  said: ({ sentence }) => `What went wrong: ${sentence}`,
  said_nothing: () => "The attempt did not say what went wrong.",
  may_be_requeued: () => "“Requeue” gives it another try.",
  may_be_replayed: () => "“Replay…” makes a new task of it, with other limits, another model or another prompt.",
  held: ({ worker, since, at }) =>
    `Worker ${worker} is working on it${since && ` (since ${since})`}. If that worker is not heard of again, the task goes back to the queue at ${at}.`,
  cancelling: ({ worker, until }) => `It is being cancelled. Worker ${worker} can hold it ${until} at most.`,
  not_due: ({ until }) => `It is not due yet: it waits ${until}.`,
  same_key: ({ task }) => `It waits for task ${task}, which has the same concurrency key and is running.`,
  takeable: ({ count }) =>
    `${count} ${count === 1 ? "worker" : "workers"} could take it now; none has asked for it yet.`,
  worker_full: ({ count, of }) => `is busy (${count} of ${of}) and takes it when it is free.`,
  worker_rests: ({ reason, until }) => `rests ${until}${reason}.`,
  worker_drained: ({ said, sentence, until }) => `is drained ${until}${said && ": "}${sentence}`,
  not_takeable: () => "No worker can take it now.",
  no_workers: () => "No worker is registered yet. Start one where a CLI is logged in: npm run worker.",
  labels_missing: ({ labels }) => `No worker that is online has the label(s) ${labels}, which it requires.`,
  labels_scattered: ({ labels }) => `No worker that is online has all of the labels that it requires: ${labels}.`,
  account_limited: ({ account, until }) => `Account ${account} is at its limit ${until}.`,
  ends_unstarted: ({ until }) => `It waits ${until} at most: if no worker starts it by then, it is dead.`,
  attempt_ended: ({ sentence }) => `The attempt before this ended: ${sentence}`,
  not_online: ({ state, since }) => `${state.toLowerCase()}, ${since ? `last heard of ${since}` : "never heard of"}`,
  no_cli: () => "has no CLI, so it gets only what it asks for",
  drained: ({ reason, until }) => `drained ${until}${reason}`,
  rests: ({ reason, until }) => `rests ${until}${reason}`,
  account_rests: ({ account, reason, until }) => `account ${account} rests ${until}${reason}`,
  account_paced: ({ account }) => `account ${account} gets one task at a time: most of its allowance is used`,
  kept_to: ({ worker }) => `may not have it: it is kept to worker ${worker}`,
  lacks_labels: ({ labels }) => `lacks the label(s) ${labels}`,
  not_allowed: ({ said }) => said,
  full: ({ count, of }) => `is full: ${count} of ${tasksText(of)}`,
  other_node: ({ node }) => `is not called: at its address the node “${node}” answers`,
  left_alone: ({ count, until }) => `refused ${count} times, left alone ${until}`,
};
