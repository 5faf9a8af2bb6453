/** Faults that the service hears from its database: it only reads, its tables are locked, its disk is full, it is gone. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { readPidFile } from "../../src/embedded/pid-file.ts";
import type { Random } from "./random.ts";

const TABLES = ["llm_tasks", "leases", "workers", "llm_results", "audit_logs"];
/** A lock that others do not let go of is not waited for any longer. */
const LOCK_WITHIN_MS = 3_000;

/** While `chaos.disk` says so, every third row that is written finds no room. */
const FULL_DISK = `
  create schema chaos;
  create table chaos.disk as select false as is_full;
  create function chaos.find_room() returns trigger language plpgsql as $$
  begin
    if random() < 0.33 and (select is_full from chaos.disk) then
      raise exception 'could not extend file "base/1/1": No space left on device' using errcode = 'disk_full';
    end if;
    return new;
  end $$`;

export interface DatabaseFaults {
  /** As after a switch-over behind one address. Half of the time, what connected meanwhile stays connected to the server that only reads. */
  readOnly(ms: number, random: Random): Promise<void>;
  /** A whole table or twenty rows, as a migration or a person at a console holds them. */
  lock(ms: number, random: Random): Promise<void>;
  fillDisk(ms: number): Promise<void>;
  /** PostgreSQL leaves without a goodbye; the embedded one is started again by its supervisor. */
  shutDown(): void;
}

/** Prepares them on the migrated database at `url`, whose files are in `dataDir`. */
export async function prepareDatabaseFaults(url: string, dataDir: string): Promise<DatabaseFaults> {
  const database = pg.escapeIdentifier(new URL(url).pathname.slice(1));
  const setReadOnly = (value: string) => `alter database ${database} set default_transaction_read_only = ${value}`;
  const disconnect =
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";

  const insist = (...statements: string[]) =>
    insistOn(url, async (client) => {
      for (const statement of statements) await client.query(statement);
    });

  await onServer(url, async (client) => {
    await client.query(FULL_DISK);
    const { rows } = await client.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public'",
    );
    // Each by itself: with the locks of several tables, it met a deadlock with the loops of the instances.
    for (const { name } of rows)
      await client.query(
        `create trigger chaos before insert or update on public.${pg.escapeIdentifier(name)} for each row execute function chaos.find_room()`,
      );
  });
  return {
    readOnly: async (ms, random) => {
      await insist(setReadOnly("on"), disconnect);
      await delay(ms);
      await insist(setReadOnly("off"), ...(random.chance(0.5) ? [disconnect] : []));
    },
    lock: async (ms, random) => {
      const what = random.chance(0.5)
        ? `lock table ${random.pick(TABLES)} in access exclusive mode`
        : "select from llm_tasks where status in ('queued', 'leased', 'running') order by random() limit 20 for update";
      await onServer(url, async (client) => {
        await client.query(`begin; set local lock_timeout = ${LOCK_WITHIN_MS}; ${what}`);
        await delay(ms);
        await client.query("rollback");
      }).catch(() => {
        // PostgreSQL has gone, and the lock with it, or the lock was not to be had.
      });
    },
    fillDisk: async (ms) => {
      await insist("update chaos.disk set is_full = true");
      await delay(ms);
      await insist("update chaos.disk set is_full = false");
    },
    shutDown: () => {
      const pid = readPidFile(join(dataDir, "postgres"))?.pid;
      if (pid !== undefined && !Number.isNaN(pid)) process.kill(pid, "SIGQUIT");
    },
  };
}

/** Repeats it until it is done: PostgreSQL may be away, and what was broken must be mended. */
export async function insistOn(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      return await onServer(url, work);
    } catch {
      await delay(100);
    }
  }
}

/** On a connection of its own that may always write. */
async function onServer(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url, options: "-c default_transaction_read_only=off" });
  client.on("error", () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
