/** Compares what clients and workers were answered with what the database holds, and the database with itself. */
import type pg from "pg";
import type { Journal } from "./callers.ts";
import { type Capped, type Entry, type LeaseRow, overlaps, overlapsOfKeys, overloads, spansOf } from "./lease-lives.ts";

interface TaskRow {
  id: string;
  status: string;
  worker_id: string | null;
  attempts: number;
  max_attempts: number;
  prompt: string;
  idempotency_key: string;
  concurrency_key: string | null;
}

interface ResultRow {
  task_id: string;
  lease_id: string;
  status: string;
  accepted: boolean;
  content: string | null;
}

/** Each violation in one sentence; none when every promise was kept. */
export async function findViolations(client: pg.Client, journal: Journal, workers: Capped[]): Promise<string[]> {
  const rows = async <Row>(text: string) => (await client.query(text)).rows as Row[];
  const tasks = new Map((await rows<TaskRow>("select * from llm_tasks")).map((task) => [task.id, task]));
  const leases = await rows<LeaseRow>("select * from leases");
  const results = await rows<ResultRow>(
    "select r.*, a.content from llm_results r left join runtime_artifacts a on a.id = r.artifact_id",
  );
  const entries = await rows<Entry>("select * from audit_logs order by seq");
  const spans = spansOf(leases, entries);
  return [
    ...journal.wrong,
    ...createsLost(journal, tasks),
    ...completionsLost(journal, results),
    ...cancelsLost(journal, tasks),
    ...outcomesOf(tasks, results),
    ...overlaps(spans, ({ task_id }) => `task ${task_id}`),
    ...overlapsOfKeys(spans, ({ task_id }) => keyOf(tasks.get(task_id))),
    ...overloads(spans, workers),
    ...historiesOf(tasks, leases, entries),
  ];
}

function createsLost(journal: Journal, tasks: Map<string, TaskRow>): string[] {
  const byKey = new Map<string, number>();
  for (const { idempotency_key } of tasks.values()) byKey.set(idempotency_key, (byKey.get(idempotency_key) ?? 0) + 1);
  return journal.created.flatMap(({ id, key, prompt }) => [
    ...(tasks.get(id)?.prompt === prompt ? [] : [`task ${id} was acknowledged and is not there`]),
    ...(byKey.get(key) === 1 ? [] : [`key ${key} made ${byKey.get(key) ?? 0} tasks`]),
  ]);
}

function completionsLost(journal: Journal, results: ResultRow[]): string[] {
  const byLease = new Map(results.map((result) => [result.lease_id, result]));
  return journal.completed.flatMap(({ taskId, leaseId, status, output }) => {
    const kept = byLease.get(leaseId);
    const isThere = kept?.accepted && kept.task_id === taskId && kept.status === status && kept.content === output;
    return isThere ? [] : [`the completion of task ${taskId} under lease ${leaseId} was acknowledged and is not there`];
  });
}

/** A task that is held ends as cancelled, whatever comes of it. */
function cancelsLost(journal: Journal, tasks: Map<string, TaskRow>): string[] {
  return [...journal.cancelled].flatMap((id) => {
    const status = tasks.get(id)?.status ?? "gone";
    return status === "cancelled" ? [] : [`the cancellation of task ${id} was acknowledged, and it is ${status}`];
  });
}

/** When all is done, each task has exactly one outcome. */
function outcomesOf(tasks: Map<string, TaskRow>, results: ResultRow[]): string[] {
  const successes = new Map<string, number>();
  for (const { task_id, accepted, status } of results)
    if (accepted && status === "success") successes.set(task_id, (successes.get(task_id) ?? 0) + 1);
  return [...tasks.values()].flatMap(({ id, status, worker_id }) => {
    const accepted = successes.get(id) ?? 0;
    if (status === "completed")
      return accepted === 1 ? [] : [`task ${id} is completed with ${accepted} accepted results`];
    if (status === "cancelled")
      return accepted <= 1 ? [] : [`task ${id} is cancelled with ${accepted} accepted results`];
    if (status === "dead") return accepted === 0 ? [] : [`task ${id} is dead with ${accepted} accepted results`];
    return [`task ${id} is still ${status}, and its worker is ${worker_id}`];
  });
}

const keyOf = (task: TaskRow | undefined) => task?.concurrency_key && `concurrency key ${task.concurrency_key}`;

/** The state and the attempts that the audit log tells must be those of the row. */
function historiesOf(tasks: Map<string, TaskRow>, leases: LeaseRow[], entries: Entry[]): string[] {
  const taskOf = new Map(leases.map(({ id, task_id }) => [id, task_id]));
  const told = new Map<string, { status: string; attempts: number }>();
  for (const { action, entity_id, actor, detail } of entries) {
    const id = taskOf.get(entity_id) ?? entity_id;
    const now = told.get(id) ?? { status: "", attempts: 0 };
    if (action === "task_created") told.set(id, { status: "queued", attempts: 0 });
    if (action === "task_leased") told.set(id, { status: "held", attempts: now.attempts + 1 });
    if (action === "task_released") told.set(id, { status: "queued", attempts: now.attempts - 1 });
    const givenBack = detail.includes("its attempt given back") ? 1 : 0;
    if (action === "task_requeued")
      told.set(id, { status: "queued", attempts: actor === "admin" ? 0 : now.attempts - givenBack });
    if (action === "task_cancelled") told.set(id, { ...now, status: "cancelled" });
    if (action === "task_dead") told.set(id, { ...now, status: "dead" });
    if (action === "task_completed")
      told.set(id, { ...now, status: detail.startsWith("Status: success") ? "completed" : "failed" });
  }
  return [...tasks.values()].flatMap(({ id, status, attempts }) => {
    const history = told.get(id);
    const is = status === "leased" || status === "running" ? "held" : status;
    return history?.status === is && history.attempts === attempts
      ? []
      : [
          `task ${id} is ${is} after ${attempts} attempts; its audit log says ${history?.status} after ${history?.attempts}`,
        ];
  });
}
