import { and, asc, count, eq, sql } from "drizzle-orm";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { leases, workers } from "../db/schema.ts";
import { isDrained } from "../fleet/capacity.ts";
import { isPaused } from "../fleet/refusals.ts";
import { endOf, isResting } from "../fleet/rest.ts";
import { dueAt, getTask } from "./tasks.ts";

/** Why a task is where it is. */
export interface Explanation {
  task_id: string;
  status: Task["status"];
  /** One sentence. */
  reason: string;
  /** When it may be leased, if that is still to come. */
  due_at: number | null;
  /** Of a queued task: each worker, and why it has not got it; none when it could take it now. */
  workers: { worker_id: string; reasons: string[] }[];
}

/** Says why the task waits, or what became of it. NotFound: no such task. */
export async function explain(db: Db, taskId: string): Promise<Explanation> {
  const task = await getTask(db, taskId);
  const about = { task_id: task.id, status: task.status, due_at: null, workers: [] };
  if (task.status === "leased" || task.status === "running")
    return { ...about, reason: `Worker ${task.worker_id} holds it under lease ${task.lease_id}.` };
  if (task.status !== "queued")
    return { ...about, reason: `It is ${task.status}; only a queued task waits for a worker.` };

  const fleet = await fleetFor(db, task);
  const due = dueAt(task);
  const due_at = due > 0 && due > (await databaseTime(db)) ? due : null;
  const able = fleet.filter(({ reasons }) => reasons.length === 0).length;
  const reason = due_at
    ? `It is not due before ${new Date(due_at).toISOString()}.`
    : able > 0
      ? `${able} worker(s) could take it now; nobody has leased, claimed or dispatched it yet.`
      : "No worker can take it now.";
  return { ...about, reason, due_at, workers: fleet };
}

/**
 * A worker whose agent is left alone can be leased the task by others, and one without a CLI can claim it: it asks by itself. Neither is
 * chosen, which is what a task waits for.
 */
async function fleetFor(db: Db, task: Task): Promise<Explanation["workers"]> {
  const rows = await db
    .select({
      id: workers.id,
      status: workers.status,
      capabilities: workers.capabilities,
      last_heartbeat: workers.last_heartbeat,
      drain: workers.drain,
      rest: workers.rest,
      refusals: workers.refusals,
      paused_until: workers.paused_until,
      active: count(leases.id),
      isResting: sql<boolean>`${isResting}`,
      isDrained: sql<boolean>`${isDrained}`,
      answered_by: workers.answered_by,
      isPaused: sql<boolean>`${workers.url} <> '' and ${isPaused}`,
    })
    .from(workers)
    .leftJoin(leases, and(eq(leases.worker_id, workers.id), eq(leases.status, "active")))
    .groupBy(workers.id)
    .orderBy(asc(workers.id));
  return rows.map(
    ({ id, status, last_heartbeat, capabilities, drain, rest, active, refusals, paused_until, answered_by, ...is }) => {
      const since = last_heartbeat === null ? "never seen" : `last seen ${new Date(last_heartbeat).toISOString()}`;
      const missing = task.requires.filter((label) => !capabilities.labels.includes(label));
      const reasons = [
        status !== "online" && `is ${status}, ${since}`,
        !capabilities.claude_cli && "has no CLI, so that it gets only what it claims",
        is.isDrained && `is drained${drain?.reason && `: ${drain.reason}`}`,
        is.isResting && rest !== null && `rests until ${endOf(rest)}: ${rest.reason}`,
        missing.length > 0 && `lacks the label(s) ${missing.join(", ")}`,
        active >= capabilities.max_concurrency && `is full: ${active} of ${capabilities.max_concurrency}`,
        answered_by !== null &&
          `has an address at which the node "${answered_by}" answers, so that its agent is not called`,
        is.isPaused && `refused ${refusals} times; left alone until ${new Date(paused_until ?? 0).toISOString()}`,
      ];
      return { worker_id: id, reasons: reasons.filter((reason) => reason !== false) };
    },
  );
}
