/** Why a task is in its state, and why a worker has not got it, for programs: the sentences of `explain` say the same to people. */
import { z } from "zod";
import { count, id, list, time, words, worker } from "./record-fields.ts";

/** The causes that the task itself has. */
const OF_TASK = [
  "in_state",
  "tools_denied",
  "dead",
  "not_started",
  "said",
  "said_nothing",
  "may_be_requeued",
  "may_be_replayed",
  "held",
  "cancelling",
  "not_due",
  "same_key",
  "takeable",
  "worker_full",
  "worker_rests",
  "worker_drained",
  "not_takeable",
  "no_workers",
  "labels_missing",
  "labels_scattered",
  "account_limited",
  "ends_unstarted",
  "attempt_ended",
] as const;
/** The causes that one worker has. */
const OF_WORKER = [
  "not_online",
  "no_cli",
  "drained",
  "rests",
  "account_rests",
  "account_paced",
  "kept_to",
  "lacks_labels",
  "not_allowed",
  "full",
  "other_node",
  "left_alone",
] as const;

export const cause = z
  .object({
    code: z
      .enum([...OF_TASK, ...OF_WORKER])
      .describe("What it is. The other fields are there where they say something of it."),
    worker_id: worker("The worker that holds the task, that would take it, or that alone may have it.").exactOptional(),
    account: words("The account.", "claude-team").exactOptional(),
    task_id: id("The task that has the same `concurrency_key`.").exactOptional(),
    node: words("The node that answers at the worker's address.").exactOptional(),
    labels: list("The labels that are missing.", "gpu").exactOptional(),
    until: time("Until when, where that has an end.").exactOptional(),
    since: time("Since when, or when the worker was last heard of.").exactOptional(),
    said: words(
      "What an attempt, a worker or an admin said; with `tools_denied`, the names of the tools.",
    ).exactOptional(),
    state: words("The state of the task, or of the worker.", "offline").exactOptional(),
    kind: words("The kind of the rest, or of the error.", "rate_limited").exactOptional(),
    count: count("How many attempts, workers, tasks or refusals.", 1).exactOptional(),
    of: count("What `count` is out of: the most attempts, or the worker's slots.", 1).exactOptional(),
  })
  .meta({ id: "Cause", description: "A reason as a code, with what it is about." });

export type Cause = z.output<typeof cause>;

/** A reason in both forms. */
export interface Reason {
  /** For people. */
  says: string;
  cause: Cause;
}
