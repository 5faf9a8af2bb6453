import { sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { accounts, workers } from "../db/fleet-tables.ts";
import { LONGEST_LIMIT_MS } from "./account-limits.ts";
import { accountOf } from "./account-pace.ts";
import { isInForce } from "./worker-rest.ts";

/** The most accounts that one pass forgets. */
const MOST_AT_ONCE = 1_000;

const isInUse = sql`${accounts.id} in (select ${accountOf} from ${workers})`;
const isAccountPaced = sql`coalesce(${accounts.paced_until} > ${nowMs}, false)`;
/** A worker may report a window that ends in a hundred years: an old report keeps no account. */
const hasWindow = sql`(${accounts.updated_at} > ${nowMs} - ${sql.raw(String(LONGEST_LIMIT_MS))} and exists (
  select from jsonb_each(${accounts.windows}) as window_of where (window_of.value ->> 'resets_at')::numeric > ${nowMs}))`;

/**
 * Forgets the accounts that no worker has any more, and of which nothing is known that would matter to a worker that comes back: no rest, no pace and
 * no window that still runs. A worker's key may name as many accounts as it likes, one after the other, and each of them had a row for ever. What
 * they used stays in the usage. Gives how many were forgotten.
 */
export async function forgetAccounts(db: Db): Promise<number> {
  const { rowCount } = await db.execute(sql`
    with unused as materialized (
      select id from ${accounts} where not (${isInForce(accounts.rest)} or ${isAccountPaced} or ${hasWindow} or ${isInUse})
      limit ${MOST_AT_ONCE} for update skip locked
    )
    delete from ${accounts} using unused where ${accounts.id} = unused.id`);
  return rowCount ?? 0;
}
