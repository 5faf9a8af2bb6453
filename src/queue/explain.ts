import type { Reason } from "../contract/causes.ts";
import type { Explanation, Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { ErrorKind } from "../db/kinds.ts";
import { meaningOf, REQUEUEABLE_STATUSES, stageOf } from "../db/statuses.ts";
import { isoTime } from "../format-iso-time.ts";
import { limitReached } from "./attempt-usage.ts";
import { findKeyHolder } from "./concurrency-key.ts";
import {
  countAbleWorkers,
  explainWorkers,
  findMissingLabels,
  findWorkersInReach,
  limitsFor,
} from "./explain-workers.ts";
import { findLease } from "./fence.ts";
import { dueAt, getTask } from "./get-task.ts";
import { getMetrics } from "./task-result.ts";

/** Says why the task waits, which worker holds it, or what became of it. NotFound: no such task. */
export async function explain(db: Db, taskId: string): Promise<Explanation> {
  const task = await getTask(db, taskId);
  const { id: task_id, status, last_error } = task;
  const about = { task_id, status, due_at: null, last_error, holder: null, workers: [] };
  switch (stageOf(status)) {
    case "waiting":
      return { ...about, ...(await waitOf(db, task)) };
    case "held": {
      const holder = await holderOf(db, task);
      return { ...about, holder, ...told(holdOf(task, holder)) };
    }
    case "ended":
      return { ...about, ...told(...(await endOf(db, task))) };
  }
}

/** What became of a task that has ended, and what to do about it where an operator may queue it again. */
async function endOf(db: Db, task: Task): Promise<Reason[]> {
  const outcome = await describeEnd(db, task);
  return REQUEUEABLE_STATUSES.includes(task.status) ? [...outcome, adviceFor(task)] : outcome;
}

async function describeEnd(db: Db, task: Task): Promise<Reason[]> {
  const { status, attempts, max_attempts } = task;
  const inState = (says: string): Reason => ({ says, cause: { code: "in_state", state: status } });
  switch (status) {
    case "completed":
      return [
        inState("It is completed: its results and artifacts have the output."),
        ...(await findDeniedTools(db, task)),
      ];
    case "failed":
      return [inState("It failed."), whatWentWrong(task)];
    case "dead": {
      const dead: Reason =
        attempts === 0
          ? { says: "It is dead: it was not started in time.", cause: { code: "not_started" } }
          : {
              says: `It is dead after ${attempts} of ${max_attempts} attempts.`,
              cause: { code: status, count: attempts, of: max_attempts },
            };
      return [dead, whatWentWrong(task)];
    }
    default:
      return [inState(`It is ${status}: ${meaningOf(status)}.`)];
  }
}

/** The tools that the CLI was denied while it worked on its answer, whose output may say no more than that; empty where it was denied none. */
async function findDeniedTools(db: Db, task: Task): Promise<Reason[]> {
  const tools = (await getMetrics(db, task))?.denied_tools?.join(", ");
  if (tools === undefined) return [];
  return [{ says: `But its CLI was not allowed to use: ${tools}.`, cause: { code: "tools_denied", said: tools } }];
}

/** The reasons as one text, and for programs. */
const told = (...reasons: Reason[]): Pick<Explanation, "reason" | "because"> => ({
  reason: reasons.map(({ says }) => says).join(" "),
  because: reasons.map(({ cause }) => cause),
});

/** What a queued task waits for. */
async function waitOf(db: Db, task: Task): Promise<Pick<Explanation, "reason" | "because" | "due_at" | "workers">> {
  const { last_error } = task;
  const due = dueAt(task);
  const due_at = due > 0 && due > (await databaseTime(db)) ? due : null;
  const reasons = [...(await hindrancesOf(db, task, due_at)), ...endsUnstarted(task)];
  if (last_error !== null)
    reasons.push({
      says: `Before, an attempt ended: ${last_error}`,
      cause: { code: "attempt_ended", said: last_error },
    });
  return { ...told(...reasons), due_at, workers: await explainWorkers(db, task) };
}

/** Why nobody has the task yet. */
async function hindrancesOf(db: Db, task: Task, due_at: number | null): Promise<Reason[]> {
  if (due_at !== null)
    return [{ says: `It is not due before ${isoTime(due_at)}.`, cause: { code: "not_due", until: due_at } }];
  const task_id = await findKeyHolder(db, task);
  if (task_id !== undefined)
    return [
      {
        says: `Task ${task_id} has the same concurrency_key and is running; only one of them runs at a time.`,
        cause: { code: "same_key", task_id },
      },
    ];
  const able = await countAbleWorkers(db, task);
  if (able > 0)
    return [
      {
        says: `${able} worker(s) could take it now; nobody has leased, claimed or dispatched it yet.`,
        cause: { code: "takeable", count: able },
      },
    ];
  if ((await db.select({ id: workers.id }).from(workers).limit(1)).length === 0) return [NO_WORKERS];
  return [
    ...(await findWorkersInReach(db, task)),
    { says: "No worker can take it now.", cause: { code: "not_takeable" } },
    ...(await findMissingLabels(db, task)),
    ...(await limitsFor(db, task)),
  ];
}

const NO_WORKERS: Reason = {
  says: "No worker can take it now: none is registered yet. Start one where a CLI is logged in: `npm run worker -- --server <the address of this runtime> --cli claude`.",
  cause: { code: "no_workers" },
};

/** When a task ends if nobody starts it (`queue_ttl_sec`); empty where it may wait for ever, or was started before. */
function endsUnstarted({ queue_until, attempts, tried_by }: Task): Reason[] {
  if (queue_until === null || attempts > 0 || tried_by !== null) return [];
  return [
    {
      says: `If no worker starts it before ${isoTime(queue_until)}, it is dead.`,
      cause: { code: "ends_unstarted", until: queue_until },
    },
  ];
}

async function holderOf(db: Db, { id, lease_id }: Task): Promise<Explanation["holder"]> {
  const lease = await findLease(db, id, lease_id ?? "");
  if (!lease) return null;
  const { worker_id, started_at: since, last_heartbeat, expires_at } = lease;
  return { worker_id, lease_id: lease.id, since, last_heartbeat, expires_at };
}

function holdOf({ worker_id, lease_id, cancel_requested }: Task, holder: Explanation["holder"]): Reason {
  const says = `Worker ${worker_id} holds it under lease ${lease_id}`;
  const code = cancel_requested ? "cancelling" : "held";
  if (!holder) return { says: `${says}.`, cause: { code, ...(worker_id !== null && { worker_id }) } };
  const { since, last_heartbeat, expires_at } = holder;
  const beats = last_heartbeat > since ? `last heard of at ${isoTime(last_heartbeat)}` : "not heard of since";
  const at = isoTime(expires_at);
  const next = cancel_requested
    ? `It is cancelled when the worker is next heard of, and at ${at} at the latest, when its lease ends.`
    : `It comes back at ${at}, unless the worker is heard of again.`;
  return {
    says: `${says} since ${isoTime(since)}, ${beats}. ${next}`,
    cause: { code, worker_id: holder.worker_id, since, until: expires_at },
  };
}

/** What went wrong with the task. */
function whatWentWrong({ last_error, error_kind }: Task): Reason {
  if (last_error === null) return { says: "What went wrong was not said.", cause: { code: "said_nothing" } };
  return {
    says: `What went wrong${error_kind === null ? "" : ` (${error_kind})`}: ${last_error.replace(/[.\s]*$/, ".")}`,
    cause: { code: "said", said: last_error, ...(error_kind !== null && { kind: error_kind }) },
  };
}

/** Kinds of errors that come again however often the same request is tried, and what a replay has to change. */
const COMES_AGAIN: Partial<Record<ErrorKind, string>> = {
  max_turns: "other limits",
  prompt_too_long: "a shorter prompt",
  invalid_input: "another model, prompt or schema, whichever was refused,",
};

/** How a task that may be queued again is tried again. */
function adviceFor({ limits, usage, error_kind }: Task): Reason {
  const isUsedUp = limitReached(limits, usage, undefined) !== undefined;
  const change = isUsedUp ? "other limits" : error_kind && COMES_AGAIN[error_kind];
  return change
    ? { says: `Replay it with ${change} to have it tried again.`, cause: { code: "may_be_replayed" } }
    : { says: "Requeue it to have it tried again.", cause: { code: "may_be_requeued" } };
}
