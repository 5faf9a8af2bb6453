/** Limits of accounts at LLM providers. Several workers may share an account, and all of them rest while it is at its limit. */
import { eq, inArray, type SQL, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { accounts, workers } from "../db/fleet-tables.ts";
import type { UsageWindows } from "../db/json-types.ts";
import { accountOf } from "./account-pace.ts";
import { restInWords } from "./worker-rest.ts";

const HOUR_MS = 3_600_000;
/**
 * The longest rest and pace of an account: the longest window of today's providers is a week. A window that was reported longer ago than this counts
 * no more (forget-accounts.ts).
 */
export const LONGEST_LIMIT_MS = 8 * 24 * HOUR_MS;
/** The most windows that are kept of an account; providers have two or three. */
const MOST_WINDOWS = 16;
/** Resets are told in whole seconds or minutes, and clocks differ. */
const SHORTEST_MS = 1_000;

/** When a limit ends, as it was said: a time (epoch ms), or how long from now (ms). */
export interface LimitEnd {
  resets_at?: number | undefined;
  retry_after_ms?: number | undefined;
}

/**
 * The account of the worker rests until its limit ends: after an hour where no time is given, and never later than after 8 days. A rest that ends
 * later stays as it is. Locks the account, and then the workers that share it, in the order of their names; this comes after the task and before any
 * other worker. An unknown worker has no account, and is no fault.
 */
export async function limitAccount(tx: Db, workerId: string, end: LimitEnd, message: string): Promise<void> {
  const id = await findAccount(tx, workerId);
  if (id === undefined) return;
  const limitEnd =
    end.resets_at !== undefined
      ? sql`${end.resets_at}::bigint`
      : sql`${nowMs} + ${end.retry_after_ms ?? HOUR_MS}::bigint`;
  const until = sql`least(greatest(${limitEnd}, ${nowMs} + ${SHORTEST_MS}::bigint), ${nowMs} + ${LONGEST_LIMIT_MS}::bigint)`;
  const reason = `account ${id} is at its limit: ${message}`;
  const rest = sql`jsonb_build_object('kind', 'rate_limited', 'reason', ${reason}::text, 'until', ${until})`;
  const [limited] = await tx
    .insert(accounts)
    .values({ id, rest, updated_at: nowMs })
    .onConflictDoUpdate({
      target: accounts.id,
      set: { rest, updated_at: nowMs },
      setWhere: sql`coalesce((${accounts.rest} ->> 'until')::bigint, 0) < ${until}`,
    })
    .returning({ rest: accounts.rest });
  if (!limited?.rest?.until) return;
  await copyToWorkers(tx, eq(accountOf, id));
  const detail = `Account ${id} ${restInWords({ ...limited.rest, reason: message })}`;
  await audit(tx, { action: "account_limited", entity_type: "account", entity_id: id, actor: "runtime", detail });
}

/**
 * Keeps what was said of the windows of the worker's account; windows that it does not name stay as they are. `paceAt` is the used share from
 * which on the account gets one task at a time, until that window begins anew; 0 is never. Locks as `limitAccount` does.
 */
export async function recordWindows(tx: Db, workerId: string, windows: UsageWindows, paceAt: number): Promise<void> {
  const id = await findAccount(tx, workerId);
  if (id === undefined) return;
  const newWindows = sql`${JSON.stringify(windows)}::jsonb`;
  const [stored] = await tx
    .insert(accounts)
    .values({ id, windows: newWindows, updated_at: nowMs })
    .onConflictDoUpdate({
      target: accounts.id,
      set: { windows: sql`${accounts.windows} || ${newWindows}`, updated_at: nowMs },
    })
    .returning({ windows: accounts.windows, paced_until: accounts.paced_until, now: accounts.updated_at });
  if (!stored) return;
  const { now } = stored;
  const kept = latestOf(stored.windows, windows, now);
  const used = Object.values(kept).filter((window) => paceAt > 0 && (window.used ?? 0) >= paceAt);
  const latest = Math.max(0, ...used.map(({ resets_at }) => resets_at ?? 0));
  const paced_until = latest > now ? Math.min(latest, now + LONGEST_LIMIT_MS) : null;
  await tx.update(accounts).set({ windows: kept, paced_until }).where(eq(accounts.id, id));
  if (paced_until !== stored.paced_until) await copyToWorkers(tx, eq(accountOf, id));
}

/** The windows to keep, 16 at most: first the windows that were named now, then the windows that last longest. Windows that are over are dropped. */
function latestOf(known: UsageWindows, named: UsageWindows, now: number): UsageWindows {
  const rank = ([name, { resets_at }]: [string, UsageWindows[string]]) =>
    Object.hasOwn(named, name) ? Number.POSITIVE_INFINITY : (resets_at ?? 0);
  const live = Object.entries(known).filter((entry) => rank(entry) > now);
  return Object.fromEntries(live.toSorted((a, b) => (rank(a) < rank(b) ? 1 : -1)).slice(0, MOST_WINDOWS));
}

/** Copies to workers that are new, or have another account now, what is known of their accounts. The accounts must be locked, or new. */
export async function copyAccounts(tx: Db, workerIds: string[]): Promise<void> {
  if (workerIds.length > 0) await copyToWorkers(tx, inArray(workers.id, workerIds));
}

/**
 * Locks the account against a change of its limits, before its workers are locked. An account without a row gets an empty one. The insert itself locks
 * the row that it meets, and changes nothing: a lock by a second statement found no row where the account was forgotten in between.
 */
export async function lockAccount(tx: Db, id: string): Promise<void> {
  await tx
    .insert(accounts)
    .values({ id, updated_at: nowMs })
    .onConflictDoUpdate({ target: accounts.id, set: { updated_at: nowMs }, setWhere: sql`false` });
}

/**
 * Copies what is known of accounts to the rows of these workers. It is a statement of its own, after the account was locked, so that it sees all
 * workers that have come to the account.
 */
export async function copyToWorkers(tx: Db, which: SQL): Promise<void> {
  await tx.execute(sql`
    with locked as materialized (
      select ${workers.id} as id, ${accountOf} as account from ${workers} where ${which} order by ${workers.id} for no key update
    )
    update ${workers} set account_rest = known.rest, account_paced_until = known.paced_until
    from locked left join ${accounts} as known on known.id = locked.account
    where ${workers.id} = locked.id`);
}

async function findAccount(tx: Db, workerId: string): Promise<string | undefined> {
  const [found] = await tx.select({ account: accountOf }).from(workers).where(eq(workers.id, workerId));
  return found?.account;
}
