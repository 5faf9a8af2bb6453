import { type SQL, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { Account } from "../contract/record-types.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { accounts, workers } from "../db/fleet-tables.ts";
import { leases } from "../db/task-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { NotFound } from "../errors.ts";
import { copyToWorkers } from "./account-limits.ts";
import { accountOf } from "./account-pace.ts";
import { isInForce } from "./worker-rest.ts";

/** The most workers that an account's record names. */
const MOST_WORKERS = 200;

const isAtLimit = isInForce(sql`known.rest`);

/**
 * The records of the accounts in `page`. A rest and a pace whose end has passed are null. The workers are read once for all accounts: once for each
 * took 2 to 4 s with 10,000 workers that have accounts of their own.
 */
const selectAccounts = (page: SQL) => sql<Account>`
  with page as materialized (${page}), member as materialized (
    select ${accountOf} as account, ${workers.id} as worker_id from ${workers} where ${accountOf} in (select id from page)
  ), named as (
    select account, array_agg(worker_id order by worker_id) as workers from (
      select *, row_number() over (partition by account order by worker_id) as n from member
    ) as counted
    where n <= ${MOST_WORKERS} group by account
  ), busy as (
    select account, count(*)::int as active_leases from ${leases} join member using (worker_id) where ${leases.status} = 'active' group by account
  )
  select page.id, case when ${isAtLimit} then known.rest end as rest,
    coalesce(known.windows, '{}') as windows, case when known.paced_until > ${nowMs} then known.paced_until::float8 end as paced_until,
    coalesce(named.workers, '{}') as workers, coalesce(active_leases, 0) as active_leases, known.updated_at::float8 as updated_at
  from page left join ${accounts} as known on known.id = page.id left join named on named.account = page.id left join busy on busy.account = page.id
  order by page.id`;

/** Every worker's account, and the accounts that still have a row (forget-accounts.ts). */
const ids = sql`select ${accounts.id} as id from ${accounts} union select ${accountOf} from ${workers}`;

/** The first `limit` accounts by name that come after `after`, each with its first 200 workers by name. */
export async function listAccounts(
  db: Db,
  { limit, after = "" }: { limit: number; after?: string | undefined },
): Promise<Account[]> {
  const page = sql`select id from (${ids}) as named where id > ${after} order by id limit ${limit}`;
  const { rows } = await db.execute<Account>(selectAccounts(page));
  return rows;
}

/** `limit` accounts by name; where there are more, those at their limit are among them before others. */
export async function listAccountsAtLimitFirst(db: Db, limit: number): Promise<Account[]> {
  const page = sql`select named.id from (${ids}) as named left join ${accounts} as known on known.id = named.id
    order by ${isAtLimit} desc, named.id limit ${limit}`;
  const { rows } = await db.execute<Account>(selectAccounts(page));
  return rows;
}

const accountNotFound = () => new NotFound("Account not found");

/** The account's record. NotFound: no worker has it, and nothing is known of it. */
export async function getAccount(db: Db, id: string): Promise<Account> {
  const { rows } = await db.execute<Account>(selectAccounts(sql`select id from (${ids}) as named where id = ${id}`));
  if (!rows[0]) throw accountNotFound();
  return rows[0];
}

/**
 * Ends the account's rest and pace. Forgets its windows, which would pace it again. NotFound: nobody uses the account, and nothing is known of it.
 */
export function resumeAccount(db: Db, caller: Caller | undefined, id: string): Promise<Account> {
  return inTransaction(db, async (tx) => {
    await getAccount(tx, id);
    const free = { rest: null, windows: {}, paced_until: null, updated_at: nowMs };
    await tx
      .insert(accounts)
      .values({ id, ...free })
      .onConflictDoUpdate({ target: accounts.id, set: free });
    await copyToWorkers(tx, sql`${accountOf} = ${id}`);
    const detail = `Account ${id} gets work again`;
    await audit(tx, {
      action: "account_resumed",
      entity_type: "account",
      entity_id: id,
      actor: actorOf(caller, "admin"),
      detail,
    });
    return await getAccount(tx, id);
  });
}
