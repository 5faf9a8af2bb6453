import pg from "pg";
import { withDatabase } from "../../support/database-url.ts";
import { API_KEY, load } from "../load.ts";
import type { BenchPostgres } from "../postgres.ts";
import { cpuMs } from "../process-usage.ts";
import type { Side } from "./side.ts";

export interface Measured {
  /** Tasks that were completed in a second. */
  perSecond: number;
  /** Processor time for a task, in milliseconds: of the process that answers, and of its connections in PostgreSQL (NaN: on another machine). */
  serverMs: number;
  postgresMs: number;
  /** Completed tasks, those of the warm-up included. */
  everDone: number;
}

/** Lets so many clients work for `seconds`, after a warm-up of half of that. The processor time is taken over both. */
export async function measure(side: Side, admin: pg.Client, clients: number, seconds: number): Promise<Measured> {
  const [server, backends] = [cpuMs(side.pid), await backendsOf(side.database, admin)];
  const works = Array.from({ length: clients }, () => side.work);
  const { perSecond, everDone } = await load(side.base, API_KEY, works, seconds);
  const serverMs = (cpuMs(side.pid) - server) / everDone;
  const after = await backendsOf(side.database, admin);
  // A connection that has come meanwhile began at 0.
  const used = [...after].reduce((sum, [pid, ms]) => sum + ms - (backends.get(pid) ?? 0), 0);
  return { perSecond, everDone, serverMs, postgresMs: after.size > 0 ? used / everDone : Number.NaN };
}

/** The processor time of each connection to the database by its process; none where PostgreSQL is on another machine, whose processes are not ours. */
async function backendsOf(database: string, admin: pg.Client): Promise<Map<number, number>> {
  const { rows } = await admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = $1
       and (inet_server_addr() is null or inet_server_addr() = inet_client_addr())`,
    [database],
  );
  return new Map(rows.map(({ pid }) => [pid, cpuMs(pid)] as const).filter(([, ms]) => !Number.isNaN(ms)));
}

/** Throws where the clients counted more or fewer completed tasks than the side has in its database. */
export async function checkCompleted(side: Side, { url }: BenchPostgres, counted: number): Promise<void> {
  const client = new pg.Client({ connectionString: withDatabase(url, side.database) });
  await client.connect();
  const { rows } = await client.query<{ n: number }>(side.completed);
  await client.end();
  if (rows[0]?.n !== counted)
    throw new Error(`${side.title}: the clients completed ${counted} tasks, but its database has ${rows[0]?.n}.`);
}
