import { sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { type ArtifactStore, abandonOutput, type PlacedOutput, placeInRow, placeOutput } from "../storage/place.ts";
import { findStaged, type StagedOutput } from "../storage/staging.ts";
import { completeAtOnce } from "./complete-at-once.ts";
import { findLease, leaseIsActive, requireHeld, staleLease, taskIsHeld } from "./fence.ts";
import { type Completion, findEarlier, handoverOf, tooLate } from "./handover.ts";
import { recordCompletion } from "./record-completion.ts";
import { getTask } from "./tasks.ts";

/** NotFound: no such task. Conflict: nobody holds it, or `leaseId` was never a lease of it, so there is nothing to complete. */
export async function requireCompletable(db: Db, taskId: string, leaseId?: string): Promise<Task> {
  const task = await getTask(db, taskId);
  if (leaseId === undefined) requireHeld(task);
  else if (!(await findLease(db, taskId, leaseId))) throw staleLease(leaseId);
  return task;
}

/**
 * Takes the result of a task. The output is put in its place first, outside of any transaction, since an upload may be slow. Then one statement
 * completes the task; what it refuses is out of the ordinary, and a transaction decides on it. The ordinary completion costs one round trip to
 * PostgreSQL. An output for the bucket costs two more (which lease holds the task, and that there may be an object) and its upload.
 * The same body under the same `lease_id` again gives the same answer and adds nothing (lifecycle.md, invariant 9). An output that no
 * completion takes over is cleaned away later. `incomplete` marks the result: its output is known to be a part at best.
 * NotFound: no such task. Conflict: nobody holds it, another body came under this lease, there is no output `output_id`, or the lease had ended
 * and the task has gone on; a success is then kept all the same (invariant 8).
 */
export async function completeTask(
  db: Db,
  store: ArtifactStore,
  taskId: string,
  request: CompleteTask,
  { incomplete = false }: { incomplete?: boolean } = {},
): Promise<Completion> {
  const handover = handoverOf(request, incomplete);
  let placed = await placeForHolder(db, store, taskId, request);
  try {
    const atOnce = placed && (await completeAtOnce(db, taskId, handover, placed));
    if (atOnce) return atOnce;
    const task = await requireCompletable(db, taskId, request.lease_id);
    // Looked for here as well as in the transaction, so that a repeated completion uploads nothing.
    const earlier = await findEarlier(db, task, handover);
    if (earlier) return earlier;
    placed ??= await place(
      db,
      store,
      { taskId: task.id, leaseId: request.lease_id ?? task.lease_id, format: task.desired_format },
      request,
    );
    const completion = await recordCompletion(db, taskId, handover, placed);
    if (completion.result.accepted) return completion;
    placed = undefined;
    throw tooLate(completion.artifact.id);
  } catch (error) {
    // Should this fail too, what was written down before the upload is most likely still there.
    if (placed) await abandonOutput(db, store, placed).catch(() => {});
    throw error;
  }
}

/** What decides where an output goes: its task, the lease under which it is handed in, and the format that the task asks for. */
interface About {
  taskId: string;
  leaseId: string | null;
  format: Task["desired_format"];
}

const HOLDER = statement<About, { taskId: string; leaseId: string | null }>(
  "holder",
  sql`select t.id as "taskId", t.lease_id as "leaseId", t.desired_format as format
    from llm_tasks t join leases l on l.id = t.lease_id
    where t.id = ${sql.placeholder("taskId")} and ${taskIsHeld} and ${leaseIsActive}
      and t.lease_id = coalesce(${sql.placeholder("leaseId")}::uuid, t.lease_id)`,
);

/** Places the output of a completion by the lease that holds the task. Undefined, and nothing is placed, when the caller is not known to hold it. */
async function placeForHolder(
  db: Db,
  store: ArtifactStore,
  taskId: string,
  request: CompleteTask,
): Promise<PlacedOutput | undefined> {
  const { output, output_id, lease_id: leaseId } = request;
  if (!isUuid(taskId) || (leaseId !== undefined && !isUuid(leaseId))) return undefined;
  if (output_id === undefined && (output === null || !store.bucket)) return placeInRow(output);
  const [about] = await HOLDER(db, { taskId, leaseId: leaseId ?? null });
  return about && (await place(db, store, about, request));
}

async function place(
  db: Db,
  store: ArtifactStore,
  about: About,
  { output, output_id }: CompleteTask,
): Promise<PlacedOutput> {
  const source = output_id === undefined ? output : await requireStaged(db, output_id, about);
  return source === null ? placeInRow(null) : await placeOutput(db, store, { ...about, source });
}

/** The output that the worker uploaded before. Conflict: there is none of this id under this lease. */
async function requireStaged(db: Db, outputId: string, { taskId, leaseId }: About): Promise<StagedOutput> {
  const found = leaseId === null ? undefined : await findStaged(db, outputId, taskId, leaseId);
  if (!found) throw new Conflict(`No output ${outputId} was uploaded under this lease; upload it again.`);
  return found;
}
