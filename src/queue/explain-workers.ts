import { asc, sql } from "drizzle-orm";
import type { Explanation, Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import { llmTasks } from "../db/schema.ts";
import { accountOf, isAccountIdle, isPaced } from "../fleet/account-pace.ts";
import { isPaused, takesCalls } from "../fleet/agent-refusals.ts";
import { activeLeases, load, loadCte, maxConcurrency, workersWithLoad } from "../fleet/capacity.ts";
import { isAvailable, isDrained, mayTake, type OfTask, refusalsOf } from "../fleet/matching.ts";
import { accountRest, endOf, ownRest } from "../fleet/worker-rest.ts";

/** The most workers that an explanation names. */
const MOST_WORKERS = 200;

const inDatabase =
  ({ id }: Task): OfTask =>
  (column) =>
    sql`(select ${llmTasks[column]} from ${llmTasks} where ${llmTasks.id} = ${id})`;

/** How many workers could take the task now. */
export async function countAbleWorkers(db: Db, task: Task): Promise<number> {
  const { rows } = await db.execute<{ able: number }>(sql`with ${loadCte()}
    select count(*)::int as able from ${workersWithLoad}
    where ${isAvailable} and ${mayTake(inDatabase(task))} and ${load} < ${maxConcurrency} and (${workers.url} = '' or ${takesCalls})`);
  return rows[0]?.able ?? 0;
}

/** In a sentence each, the limits of accounts whose workers could otherwise take the task: three at most, those that end first. */
export async function limitsFor(db: Db, task: Task): Promise<string[]> {
  const until = sql<number>`max((${workers.account_rest} ->> 'until')::bigint)`;
  const limited = await db
    .select({ account: accountOf, until })
    .from(workers)
    .where(sql`${accountRest} is not null and ${mayTake(inDatabase(task))}`)
    .groupBy(accountOf)
    .orderBy(until)
    .limit(3);
  return limited.map(
    ({ account, until }) => `Account ${account} is limited until ${new Date(Number(until)).toISOString()}.`,
  );
}

/**
 * The first 200 workers by name, each with the reasons why it has not got the task. A reason says why the service does not choose the worker by
 * itself: a worker without a CLI can still claim the task, and a caller can lease it to a worker whose agent is not called now.
 */
export async function explainWorkers(db: Db, task: Task): Promise<Explanation["workers"]> {
  const rows = await db
    .select({
      id: workers.id,
      status: workers.status,
      hasCli: workers.has_cli,
      slots: workers.slots,
      last_heartbeat: workers.last_heartbeat,
      drain: workers.drain,
      rest: ownRest,
      accountRest,
      waitsForAccount: sql<boolean>`${isPaced} and not ${isAccountIdle}`,
      account: accountOf,
      refusals: workers.refusals,
      paused_until: workers.paused_until,
      active: activeLeases,
      refusalsOfTask: refusalsOf(inDatabase(task)),
      isDrained: sql<boolean>`${isDrained}`,
      answered_by: workers.answered_by,
      isPaused: sql<boolean>`${workers.url} <> '' and ${isPaused}`,
    })
    .from(workers)
    .orderBy(asc(workers.id))
    .limit(MOST_WORKERS);
  return rows.map(
    ({
      id,
      status,
      last_heartbeat,
      drain,
      rest,
      accountRest,
      account,
      active,
      refusalsOfTask,
      refusals,
      paused_until,
      answered_by,
      ...is
    }) => {
      const since = last_heartbeat === null ? "never seen" : `last seen ${new Date(last_heartbeat).toISOString()}`;
      const reasons = [
        status !== "online" && `is ${status}, ${since}`,
        !is.hasCli && "has no CLI, so that it gets only what it claims",
        is.isDrained && `is drained${drain?.reason && `: ${drain.reason}`}`,
        rest !== null && `rests until ${endOf(rest)}: ${rest.reason}`,
        accountRest !== null && `rests until ${endOf(accountRest)}: ${accountRest.reason}`,
        is.waitsForAccount &&
          `shares account ${account}, which gets one task at a time now: most of its allowance is used`,
        ...refusalsOfTask,
        active >= (is.slots ?? 0) && `is full: ${active} of ${is.slots}`,
        answered_by !== null &&
          `has an address at which the node "${answered_by}" answers, so that its agent is not called`,
        is.isPaused && `refused ${refusals} times; left alone until ${new Date(paused_until ?? 0).toISOString()}`,
      ];
      return { worker_id: id, reasons: reasons.filter((reason) => reason !== false) };
    },
  );
}
