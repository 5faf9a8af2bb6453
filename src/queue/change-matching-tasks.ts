/** Changes that are made to all tasks that match a filter. */
import { and, inArray, type SQL, sql } from "drizzle-orm";
import { askerOf, type Caller } from "../caller.ts";
import type { ChangedTasks } from "../contract/bulk.ts";
import { createTaskBody, repeated } from "../contract/create-task.ts";
import type { TaskFilter } from "../contract/filters.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { type Cursor, findRows, orderOf, type Part, type Source } from "../db/list-source.ts";
import { openPage } from "../db/pages.ts";
import type { TaskStatus } from "../db/statuses.ts";
import { OPEN_STATUSES, REQUEUEABLE_STATUSES, TASK_STATUSES } from "../db/statuses.ts";
import { llmTasks } from "../db/task-tables.ts";
import { Conflict } from "../errors.ts";
import { schemaFault } from "../output-schema/check.ts";
import { type Callbacks, callbackFault } from "../webhooks/callback-rules.ts";
import { bulkDeadline, leftUntil } from "./bulk-deadline.ts";
import { cancelTask, cancelTogether } from "./cancel.ts";
import { type BatchChange, changeInBatches } from "./change-in-batches.ts";
import { createTask } from "./create.ts";
import { getTask } from "./get-task.ts";
import { requeueTask } from "./requeue.ts";
import { conditionOf, tasks } from "./task-list.ts";
import { isWorthSendingAgain } from "./worth-sending-again.ts";

interface Wanted {
  filter: TaskFilter;
  dry_run?: boolean | undefined;
  limit?: number | undefined;
}

const USUAL_LIMIT = 1_000;
const EXAMPLES = 10;
const PAGE = 1_000;

/** Cancels the tasks that match and have not ended, each as `cancelTask` does it. */
export function cancelTasks(db: Db, caller: Caller | undefined, { reason, ...wanted }: Wanted & { reason: string }) {
  return changeTasks(db, caller, wanted, (inTime) => ({
    action: "tasks_cancelled",
    from: OPEN_STATUSES,
    isLeft: sql`not ${llmTasks.cancel_requested}`,
    together: (ids, which) => cancelTogether(inTime, caller, ids, reason, which),
    change: (id, which) => cancelTask(inTime, caller, id, reason, which),
  }));
}

/** Queues again the tasks that match and may be requeued, each as `requeueTask` does it. */
export function requeueTasks(db: Db, caller: Caller | undefined, wanted: Wanted) {
  return changeTasks(db, caller, wanted, (inTime) => ({
    action: "tasks_requeued",
    from: REQUEUEABLE_STATUSES,
    change: (id, which) => requeueTask(inTime, caller, id, which),
  }));
}

/**
 * Creates a new task from the request of each task that matches, with `changes` over it, under the key `<idempotency_key>/<id of the old task>`.
 * Tasks that the same call has replayed before, and those that it has made, do not match any more.
 */
export function replayTasks(
  db: Db,
  caller: Caller | undefined,
  { idempotency_key: key, changes = {}, ...wanted }: Wanted & { idempotency_key: string; changes?: object | undefined },
  callbacks: Callbacks,
) {
  const { id, idempotency_key } = llmTasks;
  return changeTasks(db, caller, wanted, (inTime, endAt) => ({
    action: "tasks_replayed",
    from: TASK_STATUSES,
    isLeft: sql`not starts_with(coalesce(${idempotency_key}, ''), ${`${key}/`}::text)
      and not exists (select from llm_tasks as made where made.idempotency_key = ${`${key}/`}::text || ${id}::text)`,
    change: async (oldId) => {
      const { idempotency_key: _own, ...changed } = { idempotency_key: null, ...changes };
      const request = createTaskBody.safeParse(repeated(await getTask(inTime, oldId), changed));
      if (!request.success) throw new Conflict("With these changes the request is not valid.");
      const schema = request.data.output_schema;
      const asker = { of: askerOf(caller), withinMs: leftUntil(endAt) };
      if (schema && (await schemaFault(schema, asker)) !== undefined)
        throw new Conflict("output_schema is no JSON Schema.");
      const fault = callbackFault(request.data.callback_url, caller, callbacks);
      if (fault !== undefined) throw new Conflict(`callback_url ${fault}.`);
      await createTask(inTime, caller, request.data, `${key}/${oldId}`, oldId);
    },
  }));
}

interface Change extends BatchChange {
  action: AuditAction;
  from: readonly TaskStatus[];
  /** True in SQL for the tasks that are still to be changed. */
  isLeft?: SQL;
}

/**
 * Changes the oldest `limit` tasks that match (1,000 unless told otherwise), in the order of their ids. The tasks that others have locked come last,
 * each in a transaction of its own, so that no call holds the lock of one task while it waits for another. After an interruption the same call goes
 * on, since changed tasks do not match any more. A fault of the database, or a lack of connections or of time, after the first change is answered as
 * `more`.
 */
async function changeTasks(
  db: Db,
  caller: Caller | undefined,
  { filter, dry_run = false, limit = USUAL_LIMIT }: Wanted,
  changeBy: (inTime: Db, endAt: number) => Change,
): Promise<ChangedTasks> {
  const endAt = bulkDeadline();
  const inTime = db.endingAt(endAt);
  const change = changeBy(inTime, endAt);
  const { action, from, isLeft } = change;
  const status = (filter.status ?? [...TASK_STATUSES]).filter((each) => from.includes(each));
  const list = tasks({ ...filter, status }, "slim");
  const parts = list.parts.map((part) => (isLeft ? { ...part, sift: and(part.sift, isLeft) } : part));
  const source: Source = { ...list, parts, order: "oldest first" };
  const none = { dry_run, matched: 0, changed: 0, refused: 0, more: false, examples: [] };
  if (status.length === 0) return none;
  const { ids, more } = await idsIn(inTime, source, limit, endAt);
  if (ids.length === 0) return { ...none, more };
  const examples = JSON.parse(
    `[${(await openPage(inTime, { ...source, parts: [examplesOf(ids)] }, { limit: EXAMPLES })).first}]`,
  );
  const answer = { ...none, matched: ids.length, more, examples };
  if (dry_run) return answer;
  await audit(inTime, {
    action,
    entity_type: "llm_tasks",
    entity_id: newId(),
    actor: actorOf(caller, "admin"),
    detail: `Of ${ids.length} tasks that match ${JSON.stringify(filter)}`,
  });
  const which = conditionOf({ ...filter, status });
  try {
    if (!(await changeInBatches(change, ids.toSorted(), which, answer, endAt))) answer.more = true;
  } catch (error) {
    // What is changed stays changed, and the next call goes on.
    if (answer.changed === 0 || !isWorthSendingAgain(error)) throw error;
    answer.more = true;
  }
  return answer;
}

/** The first tasks that were found, by their ids, so that they are not searched for again. */
const examplesOf = (ids: string[]): Part => ({ where: inArray(llmTasks.id, ids.slice(0, EXAMPLES)), isRare: true });

/** The ids of the first `limit` rows of the list. `more`: there are more, or the time was up. */
async function idsIn(db: Db, source: Source, limit: number, endAt: number) {
  const ids: string[] = [];
  for (let after: Cursor | undefined; ; ) {
    const wanted = Math.min(PAGE, limit - ids.length);
    const { rows } = await db.execute<{ found: Cursor[] | null; horizon: Cursor | null }>(sql`
      with ${findRows(source, { limit: wanted, after })}
      select (select json_agg(json_build_object('id', id, 'time', time) order by ${orderOf(source)}) from found) as found,
        (select json_build_object('id', id, 'time', time) from horizon) as horizon`);
    const found = rows[0]?.found ?? [];
    const page = found.slice(0, wanted);
    ids.push(...page.map(({ id }) => id));
    after = found.length > wanted ? page.at(-1) : (rows[0]?.horizon ?? undefined);
    if (!after) return { ids, more: false };
    if (ids.length >= limit || performance.now() > endAt) return { ids, more: true };
  }
}
