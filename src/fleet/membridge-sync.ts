import { isDeepStrictEqual } from "node:util";
import { asc, inArray, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { type AuditFact, audit } from "../db/audit.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { workerColumns, workers } from "../db/fleet-tables.ts";
import type { WorkerRow } from "../db/row-types.ts";
import { inTransaction } from "../db/transaction.ts";
import { copyAccounts } from "./account-limits.ts";
import type { Membridge } from "./membridge.ts";
import { MembridgeUnreachable } from "./membridge.ts";
import { type MembridgeAgent, readAgents } from "./membridge-agents.ts";
import { merge, newWorker } from "./merge-membridge-agent.ts";
import { markSilentOffline } from "./signs-of-life.ts";

/** Agents in one transaction: keeps the locks short and the statement below PostgreSQL's 65,535 parameters. */
const BATCH = 1_000;

/** How many workers a pass added, changed, and marked offline. */
export interface Synced {
  added: number;
  changed: number;
  offline: number;
}

/**
 * Makes one pass of the sync: takes in what Membridge says of its agents, then marks silent workers offline. While Membridge is away,
 * nothing else changes.
 */
export async function syncOnce(db: Db, membridge: Membridge, log: Logger): Promise<Synced> {
  const synced = { added: 0, changed: 0, offline: 0 };
  try {
    const agents = [...(await fetchAgents(membridge, log)).values()];
    for (let start = 0; start < agents.length; start += BATCH) {
      const batch = await inTransaction(db, (tx) => mergeAgents(tx, agents.slice(start, start + BATCH)));
      synced.added += batch.added;
      synced.changed += batch.changed;
    }
  } finally {
    synced.offline = (await inTransaction(db, markSilentOffline)).length;
  }
  return synced;
}

async function fetchAgents(membridge: Membridge, log: Logger): Promise<Map<string, MembridgeAgent>> {
  const none = new Map<string, MembridgeAgent>();
  try {
    // There is no retry, since the next pass comes soon.
    const { status, json } = await membridge.call(["agents"], { retries: 0 });
    const read = status < 300 ? readAgents(json) : undefined;
    // When the key is refused, the client has logged it already.
    const level = membridge.keyFault() === undefined ? "warn" : "debug";
    if (!read) log[level]({ status }, "Membridge gave no list of agents; workers stay as they are");
    else if (read.unreadable.count > 0)
      log.warn(read.unreadable, "Membridge listed agents without a usable name; skipped");
    return read?.agents ?? none;
  } catch (error) {
    if (!(error instanceof MembridgeUnreachable)) throw error;
    // This is a warning once when Membridge goes away, not at every pass.
    const level = membridge.state().consecutiveFailures === 1 ? "warn" : "debug";
    log[level]({ reason: error.message }, "workers are not synced");
    return none;
  }
}

async function mergeAgents(tx: Db, agents: MembridgeAgent[]): Promise<Omit<Synced, "offline">> {
  const ids = agents.map((agent) => agent.name);
  const known = await tx
    .select(workerColumns)
    .from(workers)
    .where(inArray(workers.id, ids))
    .orderBy(asc(workers.id))
    .for("no key update");
  const byId = new Map(known.map((worker) => [worker.id, worker]));
  const now = await databaseTime(tx);

  const fresh: WorkerRow[] = [];
  const changed: WorkerRow[] = [];
  const facts: AuditFact[] = [];
  for (const agent of agents) {
    const before = byId.get(agent.name);
    if (!before) {
      fresh.push(newWorker(agent, now));
      continue;
    }
    const after = merge(before, agent, now);
    if (isDeepStrictEqual(before, after)) continue;
    changed.push(after);
    facts.push(...changesIn(before, after));
  }
  const added =
    fresh.length === 0 ? [] : await tx.insert(workers).values(fresh).onConflictDoNothing().returning(workerColumns);
  await copyAccounts(
    tx,
    added.map(({ id }) => id),
  );
  facts.push(...added.map((worker) => fact("worker_registered", worker, "registered")));
  await update(tx, changed);
  await audit(tx, ...facts);
  return { added: added.length, changed: changed.length };
}

/** Updates all rows in one statement. The rows are locked and so still exist, so that every insert ends as an update. */
async function update(tx: Db, rows: WorkerRow[]): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.entries(workerColumns).filter(([name]) => name !== "id");
  const set = Object.fromEntries(columns.map(([name, column]) => [name, sql`excluded.${sql.identifier(column.name)}`]));
  await tx.insert(workers).values(rows).onConflictDoUpdate({ target: workers.id, set });
}

/** The audit entries for a changed worker. A sign of life alone is not audited; a new status and new data are. */
function changesIn(before: WorkerRow, after: WorkerRow): AuditFact[] {
  if (before.status !== "online" && after.status === "online")
    return [fact("worker_online", after, `was ${before.status} and was seen by Membridge`)];
  const { last_heartbeat: _seen, obs_count: _observed, db_sha: _sha, ...data } = before;
  const same = Object.entries(data).every(([name, value]) =>
    isDeepStrictEqual(value, after[name as keyof typeof data]),
  );
  return same ? [] : [fact("worker_updated", after, "updated")];
}

function fact(action: AuditAction, worker: WorkerRow, verb: string): AuditFact {
  return {
    action,
    entity_type: "worker",
    entity_id: worker.id,
    actor: "membridge",
    detail: `Worker ${worker.id} ${verb}, status=${worker.status}, max_concurrency=${worker.capabilities.max_concurrency}`,
  };
}
