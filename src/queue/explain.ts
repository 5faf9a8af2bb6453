import type { Explanation, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { findKeyHolder } from "./concurrency-key.ts";
import { countAbleWorkers, explainWorkers, limitsFor } from "./explain-workers.ts";
import { findLease } from "./fence.ts";
import { dueAt, getTask } from "./tasks.ts";
import { limitReached } from "./usage.ts";

/** Says why the task waits, which worker holds it, or what became of it. NotFound: no such task. */
export async function explain(db: Db, taskId: string): Promise<Explanation> {
  const task = await getTask(db, taskId);
  const { id: task_id, status, last_error } = task;
  const about = { task_id, status, due_at: null, last_error, holder: null, workers: [] };
  // A state without a sentence here does not compile.
  switch (status) {
    case "leased":
    case "running": {
      const holder = await holderOf(db, task);
      return { ...about, holder, reason: sentenceOf(task, holder) };
    }
    case "completed":
      return { ...about, reason: "It is completed: its results and artifacts have the output." };
    case "cancelled":
      return { ...about, reason: "It is cancelled; only a queued task waits for a worker." };
    case "failed":
      return { ...about, reason: `It failed. ${adviceFor(task)}` };
    case "dead":
      return {
        ...about,
        reason: `It is dead after ${task.attempts} of ${task.max_attempts} attempts. ${adviceFor(task)}`,
      };
    case "queued":
      return { ...about, ...(await waitOf(db, task)) };
  }
}

/** What a queued task waits for. */
async function waitOf(db: Db, task: Task): Promise<Pick<Explanation, "reason" | "due_at" | "workers">> {
  const { last_error } = task;
  const due = dueAt(task);
  const due_at = due > 0 && due > (await databaseTime(db)) ? due : null;
  const able = await countAbleWorkers(db, task);
  const keyHolder = await findKeyHolder(db, task);
  const wait = due_at
    ? `It is not due before ${timeOf(due_at)}.`
    : keyHolder !== undefined
      ? `Task ${keyHolder} has the same concurrency_key and is running; only one of them runs at a time.`
      : able > 0
        ? `${able} worker(s) could take it now; nobody has leased, claimed or dispatched it yet.`
        : ["No worker can take it now.", ...(await limitsFor(db, task))].join(" ");
  const until = endsUnstarted(task);
  const reason = wait + until + (last_error === null ? "" : ` Before, an attempt ended: ${last_error}`);
  return { reason, due_at, workers: await explainWorkers(db, task) };
}

/** When a task that has never been started ends because of that, as a sentence; none where it may wait for ever. */
function endsUnstarted({ queue_until, attempts, tried_by }: Task): string {
  if (queue_until === null || attempts > 0 || tried_by !== null) return "";
  return ` If no worker starts it before ${timeOf(queue_until)}, it is dead.`;
}

const timeOf = (ms: number) => new Date(ms).toISOString();

async function holderOf(db: Db, { id, lease_id }: Task): Promise<Explanation["holder"]> {
  const lease = await findLease(db, id, lease_id ?? "");
  if (!lease) return null;
  const { worker_id, started_at: since, last_heartbeat, expires_at } = lease;
  return { worker_id, lease_id: lease.id, since, last_heartbeat, expires_at };
}

function sentenceOf({ worker_id, lease_id, cancel_requested }: Task, holder: Explanation["holder"]): string {
  const held = `Worker ${worker_id} holds it under lease ${lease_id}`;
  if (!holder) return `${held}.`;
  const { since, last_heartbeat, expires_at } = holder;
  const next = cancel_requested ? "It is to be cancelled, which happens when the lease ends:" : "It comes back";
  const beats = last_heartbeat > since ? `last heard of at ${timeOf(last_heartbeat)}` : "not heard of since";
  return `${held} since ${timeOf(since)}, ${beats}. ${next} at ${timeOf(expires_at)}, unless the worker is heard of again.`;
}

/** What went wrong with a task that failed or is dead, and what to do about it. */
function adviceFor({ last_error, limits, usage }: Task): string {
  const said =
    last_error === null ? "What went wrong was not said." : `What went wrong: ${last_error.replace(/[.\s]*$/, ".")}`;
  const next =
    limitReached(limits, usage, undefined) === undefined
      ? "Requeue it to have it tried again."
      : "Replay it with other limits to have it tried again.";
  return `${said} ${next}`;
}
