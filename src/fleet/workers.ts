import { and, count, eq, gt, inArray, lte, type SQL, sql } from "drizzle-orm";
import type { WorkerFilter } from "../contract/filters.ts";
import type { WorkerWithLoad } from "../contract/record-types.ts";
import { auditLogs } from "../db/audit-table.ts";
import type { Db } from "../db/client.ts";
import { workerColumns, workers } from "../db/fleet-tables.ts";
import type { Drain } from "../db/json-types.ts";
import { PAGE_BYTES } from "../db/pages.ts";
import { leases } from "../db/task-tables.ts";
import { NotFound } from "../errors.ts";
import { accountOf } from "./account-pace.ts";
import { isDrained } from "./matching.ts";
import { accountRest, ownRest } from "./worker-rest.ts";

export const workerNotFound = () => new NotFound("Worker not found");

/** The sentence about a worker that has no address at which its agent could be called. */
export const noUrl = (id: string) => `Worker "${id}" has no URL configured`;

/**
 * The first workers by name after `after` that match the filter: `limit` at most, and 8 MB at most, but at least one. `isLast`: there are no
 * more after them.
 */
export async function listWorkers(
  db: Db,
  { limit, after = "", ...filter }: { limit: number; after?: string | undefined } & WorkerFilter,
): Promise<{ page: WorkerWithLoad[]; isLast: boolean }> {
  const matches = conditionOf(filter);
  const { rows } = await db.execute<{ last: string | null; has_more: boolean }>(sql`
    with found as (
      select id, row_number() over (order by id) as n,
        sum(pg_column_size(w.*) + 2 * octet_length(capabilities::text) + 2 * octet_length(ip_addrs::text) + 1000) over (order by id) as total
      from (select * from ${workers} where ${and(gt(workers.id, after), matches)} order by id limit ${limit + 1}) as w
    ), page as (
      select id from found where n <= ${limit} and (n = 1 or total <= ${PAGE_BYTES}::int)
    )
    select max(id) as last, (select count(*) from found) > count(*) as has_more from page`);
  const { last, has_more } = rows[0] ?? {};
  if (!last) return { page: [], isLast: true };
  const page = await selectWorkers(db)
    .where(and(gt(workers.id, after), lte(workers.id, last), matches))
    .orderBy(workers.id);
  return { page, isLast: !has_more };
}

/** There are few workers, so that no index is needed: `q` is part of the name, in upper or lower case. */
const conditionOf = ({ status, account, q }: WorkerFilter) =>
  and(
    status && inArray(workers.status, status),
    account === undefined ? undefined : sql`${accountOf} = ${account}`,
    q === undefined ? undefined : sql`strpos(lower(${workers.id}), lower(${q}::text)) > 0`,
  );

/**
 * When the worker was last marked offline because it was silent. A worker that stops says so, which is a later sign of life: it
 * does not count as lost.
 */
const silentSince = sql`(select ${auditLogs.timestamp} from ${auditLogs}
  where ${auditLogs.entity_id} = ${workers.id} and ${auditLogs.action} = 'worker_offline' order by ${auditLogs.seq} desc limit 1)`;
/** Without `offset 0`, PostgreSQL estimates `silentSince` for every worker, and then compiles the query (JIT). */
const offlineOnes = sql`(select * from ${workers} where ${workers.status} = 'offline' and not ${isDrained} offset 0) as workers`;

/** The longest rest that a shipped worker asks for while it goes on (worker/fitness.ts). As its end, it asks for a longer one. */
const LONGEST_OWN_REST_MS = 300_000;
/**
 * True for a worker that stopped while something on its machine had to be mended: its login, its CLI, or what it said itself as its last word. The
 * end of that rest does not matter, since only a worker that is started anew has been mended.
 */
const hasStoppedBroken = sql`(${workers.rest} ->> 'kind' in ('auth', 'no_cli', 'worker')
  and coalesce((${workers.rest} ->> 'until')::bigint > ${workers.last_heartbeat} + ${LONGEST_OWN_REST_MS}, true))`;

/**
 * The workers that need somebody, by name, up to `limit` of each of four kinds: online but resting by themselves; reporting an error; lost; stopped
 * while its login or its CLI was missing, or because it could not go on. A lost worker fell silent without saying that it stops. Of those
 * that are offline, a drained one needs nobody.
 */
export function listWorkersInTrouble(db: Db, limit: number): Promise<WorkerWithLoad[]> {
  const first = (from: SQL, condition: SQL) =>
    sql`(select id from ${from} where ${condition} order by 1 limit ${limit})`;
  const table = sql`${workers}`;
  const resting = first(table, sql`${workers.status} = 'online' and ${ownRest} is not null`);
  const inError = first(table, eq(workers.status, "error"));
  const lost = first(offlineOnes, sql`${silentSince} >= coalesce(${workers.last_heartbeat}, 0)`);
  const stopped = first(offlineOnes, hasStoppedBroken);
  return selectWorkers(db)
    .where(sql`${workers.id} in (${resting} union all ${inError} union all ${lost} union all ${stopped})`)
    .orderBy(workers.id);
}

/** The worker with the number of its active leases. NotFound: no such worker. */
export async function getWorker(db: Db, id: string): Promise<WorkerWithLoad> {
  const [worker] = await selectWorkers(db).where(eq(workers.id, id));
  if (!worker) throw workerNotFound();
  return worker;
}

/** A drain or a rest whose end has passed counts as none. */
const drainNow = sql<Drain | null>`case when ${isDrained} then ${workers.drain} end`;

function selectWorkers(db: Db) {
  return db
    .select({
      ...workerColumns,
      drain: drainNow,
      rest: ownRest,
      account_rest: accountRest,
      active_leases: count(leases.id),
    })
    .from(workers)
    .leftJoin(leases, and(eq(leases.worker_id, workers.id), eq(leases.status, "active")))
    .groupBy(workers.id)
    .$dynamic();
}
