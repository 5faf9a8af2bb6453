import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { findLease, isHeld } from "./fence.ts";
import { dueAt, getTask } from "./tasks.ts";
import { countAble, type WhyNot, whyNot } from "./why-not.ts";

/** Who holds a task: since when, when it was last heard of, and when the task comes back unless it is heard of again, in epoch milliseconds. */
export interface Holder {
  worker_id: string;
  lease_id: string;
  since: number;
  last_heartbeat: number;
  expires_at: number;
}

/** Why a task is where it is. */
export interface Explanation {
  task_id: string;
  status: Task["status"];
  /** One or two sentences. */
  reason: string;
  /** When it may be leased, if that is still to come. */
  due_at: number | null;
  /** What was said when an attempt ended without success, most recently. */
  last_error: string | null;
  /** Of a held task. */
  holder: Holder | null;
  /** Of a queued task: why the workers have not got it; those without a reason could take it now. The first 200 by name. */
  workers: WhyNot[];
}

/** Says why the task waits, who holds it, or what became of it. NotFound: no such task. */
export async function explain(db: Db, taskId: string): Promise<Explanation> {
  const task = await getTask(db, taskId);
  const { id: task_id, status, last_error } = task;
  const about = { task_id, status, due_at: null, last_error, holder: null, workers: [] };
  if (isHeld(task)) {
    const holder = await holderOf(db, task);
    return { ...about, holder, reason: sentenceOf(task, holder) };
  }
  if (status !== "queued") return { ...about, reason: endOf(task) };

  const due = dueAt(task);
  const due_at = due > 0 && due > (await databaseTime(db)) ? due : null;
  const able = await countAble(db, task);
  const wait = due_at
    ? `It is not due before ${timeOf(due_at)}.`
    : able > 0
      ? `${able} worker(s) could take it now; nobody has leased, claimed or dispatched it yet.`
      : "No worker can take it now.";
  const reason = wait + (last_error === null ? "" : ` Before, an attempt ended: ${last_error}`);
  return { ...about, reason, due_at, workers: await whyNot(db, task) };
}

const timeOf = (ms: number) => new Date(ms).toISOString();

async function holderOf(db: Db, { id, lease_id }: Task): Promise<Holder | null> {
  const lease = await findLease(db, id, lease_id ?? "");
  if (!lease) return null;
  const { worker_id, started_at: since, last_heartbeat, expires_at } = lease;
  return { worker_id, lease_id: lease.id, since, last_heartbeat, expires_at };
}

function sentenceOf({ worker_id, lease_id, cancel_requested }: Task, holder: Holder | null): string {
  const held = `Worker ${worker_id} holds it under lease ${lease_id}`;
  if (!holder) return `${held}.`;
  const { since, last_heartbeat, expires_at } = holder;
  const next = cancel_requested ? "It is to be cancelled, which happens when the lease ends:" : "It comes back";
  const beats = last_heartbeat > since ? `last heard of at ${timeOf(last_heartbeat)}` : "not heard of since";
  return `${held} since ${timeOf(since)}, ${beats}. ${next} at ${timeOf(expires_at)}, unless the worker is heard of again.`;
}

function endOf({ status, last_error, attempts, max_attempts }: Task): string {
  if (status === "completed") return "It is completed: its results and artifacts have the output.";
  if (status === "cancelled") return "It is cancelled; only a queued task waits for a worker.";
  const after = status === "dead" ? ` after ${attempts} of ${max_attempts} attempts` : "";
  const ended = status === "dead" ? "is dead" : status;
  const said =
    last_error === null ? "What went wrong was not said." : `What went wrong: ${last_error.replace(/[.\s]*$/, ".")}`;
  return `It ${ended}${after}. ${said} Requeue it to have it tried again.`;
}
