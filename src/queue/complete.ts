import { sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { CompleteTask } from "../contract/complete-task.ts";
import type { Completed, Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { recordWindows } from "../fleet/account-limits.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { abandonOutput, type PlacedOutput, placeInRow, placeOutput } from "../storage/place-output.ts";
import { requireStaged, unstage } from "../storage/staging.ts";
import { findEarlier, tooLate } from "./answer-to-completion.ts";
import { recordSession } from "./cli-sessions.ts";
import { completeInOneStatement } from "./complete-in-one-statement.ts";
import { completeInTransaction } from "./complete-in-transaction.ts";
import { findLease, isHeldUnder, requireHeld, staleLease } from "./fence.ts";
import { getTask } from "./get-task.ts";
import { judgeOutput } from "./judge-output.ts";
import { readPrinted } from "./read-cli-output.ts";
import { runOrLog } from "./run-or-log.ts";
import { withOwnCost } from "./session-cost.ts";
import { type SubmittedResult, submittedResultOf } from "./submitted-result.ts";

/** The task, if there may be something to complete. NotFound: no such task. Conflict: nobody holds it, or `leaseId` never was a lease of it. */
export async function requireCompletable(db: Db, taskId: string, leaseId?: string): Promise<Task> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  else if (!(await findLease(db, taskId, leaseId))) throw staleLease(leaseId);
  return task;
}

/** How a completion is taken, beside what its caller sends. */
interface HowCompleted {
  /** Marks the result: its output may be only a part of what was printed. */
  incomplete?: boolean;
  /** From this part of its allowance on, 0 to 1, the worker's account gets one task at a time; 0 is never. */
  paceAt?: number;
}

/**
 * Takes the result of a task. The output is placed first, outside of any transaction, since an upload may be slow. Then one statement completes the
 * task (complete-in-one-statement.ts). Where it refuses, the case is not the ordinary one, and a transaction decides (complete-in-transaction.ts).
 * The same body under the same `lease_id` again gives the same answer and adds nothing (lifecycle.md, invariant 9). An output that no completion
 * takes over is cleaned away later.
 *
 * An ordinary completion costs one round trip to PostgreSQL. An output for the bucket costs two more, to ask for the task's lease and to announce the
 * object, and the upload.
 *
 * NotFound: no such task. Conflict: nobody holds it, another body came under this lease, there is no output `output_id`, or the lease had ended and
 * the task has gone on; a success is kept even then (invariant 8).
 */
export async function completeTask(
  db: Db,
  caller: Caller | undefined,
  store: OutputStorage,
  taskId: string,
  request: CompleteTask,
  { incomplete = false, paceAt = 0 }: HowCompleted = {},
): Promise<Completed> {
  const { cli, output_id } = request;
  let submitted = submittedResultOf(request, incomplete);
  let sessionCost: number | null = null;
  if (cli !== undefined) {
    const task = await requireCompletable(db, taskId, request.lease_id);
    const earlier = await findEarlier(db, task, { ...submitted, request: { ...request, output: null } });
    if (earlier) return earlier;
    submitted = await readPrinted(db, task, submitted, cli);
    sessionCost = submitted.request.metrics.cost_usd ?? null;
    if (cli === "claude") submitted = await withOwnCost(db, task, submitted);
  }
  const completion = await complete(db, caller, store, taskId, submitted);
  const { worker_id } = completion.result;
  const { windows, metrics } = submitted.request;
  const what = `completion of task ${taskId}`;
  if (windows)
    await runOrLog(db, caller, what, () => inTransaction(db, (tx) => recordWindows(tx, worker_id, windows, paceAt)));
  const { session_id } = metrics;
  if (session_id !== undefined)
    await runOrLog(db, caller, what, () =>
      recordSession(db, worker_id, completion.task.context_id, session_id, sessionCost),
    );
  if (cli !== undefined && output_id !== undefined && submitted.transcript === undefined)
    await runOrLog(db, caller, what, () => unstage(db, output_id));
  return completion;
}

async function complete(
  db: Db,
  caller: Caller | undefined,
  store: OutputStorage,
  taskId: string,
  submitted: SubmittedResult,
): Promise<Completed> {
  const { request, transcript } = submitted;
  let placed = await placeForHolder(db, caller, store, taskId, request);
  let kept: PlacedOutput | undefined;
  try {
    const completed =
      placed && transcript === undefined && (await completeInOneStatement(db, caller, taskId, submitted, placed));
    if (completed) return completed;
    const task = await requireCompletable(db, taskId, request.lease_id);
    // The transaction looks for this as well. To look here spares a repeated completion its upload.
    const earlier = await findEarlier(db, task, submitted);
    if (earlier) return earlier;
    const fitting = await judgeOutput(db, task, submitted);
    const about = { taskId: task.id, leaseId: request.lease_id ?? task.lease_id, format: task.desired_format };
    placed ??= await place(db, caller, store, about, request);
    if (transcript !== undefined)
      kept = await placeOutput(db, caller, store, { ...about, format: "text", source: transcript });
    const completion = await completeInTransaction(db, caller, taskId, fitting, placed, kept);
    if (completion.result.accepted) return completion;
    // The late result is committed with its outputs: the catch below must not abandon them.
    [placed, kept] = [undefined, undefined];
    throw tooLate(completion.artifact.id);
  } catch (error) {
    // If this fails too, the row that announced the object before its upload is most likely still there, and the object is cleaned away later.
    for (const output of [placed, kept]) if (output) await abandonOutput(db, store, output).catch(() => {});
    throw error;
  }
}

/** What decides where an output goes: its task, the lease under which it comes, and the format that the task asks for. */
interface About {
  taskId: string;
  leaseId: string | null;
  format: Task["desired_format"];
}

const HOLDER = statement<About, { taskId: string; leaseId: string | null }>(
  "holder",
  sql`select t.id as "taskId", t.lease_id as "leaseId", t.desired_format as format
    from llm_tasks t join leases l on l.id = t.lease_id
    where t.id = ${sql.placeholder("taskId")} and ${isHeldUnder(sql`${sql.placeholder("leaseId")}::uuid`)}`,
);

/** Places the output of a completion for the lease that holds the task. Undefined when the caller may not hold the task; nothing is placed then. */
async function placeForHolder(
  db: Db,
  caller: Caller | undefined,
  store: OutputStorage,
  taskId: string,
  request: CompleteTask,
): Promise<PlacedOutput | undefined> {
  const { output, output_id, lease_id: leaseId } = request;
  if (!isUuid(taskId) || (leaseId !== undefined && !isUuid(leaseId))) return undefined;
  if (output_id === undefined && (output === null || !store.bucket)) return placeInRow(output);
  const [about] = await HOLDER(db, { taskId, leaseId: leaseId ?? null });
  if (!about) return undefined;
  return await place(db, caller, store, about, request).catch((error: unknown) => {
    // The staged output is gone: most likely the same completion has just taken it over. Where there is no such completion, `complete` places the
    // output again, which throws the same error.
    if (error instanceof Conflict) return undefined;
    throw error;
  });
}

async function place(
  db: Db,
  caller: Caller | undefined,
  store: OutputStorage,
  about: About,
  { output, output_id }: CompleteTask,
): Promise<PlacedOutput> {
  const source = output_id === undefined ? output : await requireStaged(db, output_id, about);
  return source === null ? placeInRow(null) : await placeOutput(db, caller, store, { ...about, source });
}
