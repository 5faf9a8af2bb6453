import type pg from "pg";
import type { LoadResult } from "./load.ts";
import type { BenchDatabase } from "./postgres.ts";
import { cpuMs } from "./process-usage.ts";

/** A load, and the processor time for each of its iterations, in milliseconds. */
export interface Timed extends LoadResult {
  /** The time of the service, with all of its processes. */
  serverMs: number;
  /** The time of its connections in PostgreSQL; NaN where that runs on another machine. */
  postgresMs: number;
}

/** Runs the load against the process `pid`, whose database this is. The time is taken over the warm-up too. */
export async function timed(
  { pid, database }: { pid: number; database: BenchDatabase },
  admin: pg.Client,
  run: () => Promise<LoadResult>,
): Promise<Timed> {
  const [server, backends] = [cpuMs(pid), await backendsOf(database.name, admin)];
  const result = await run();
  const serverMs = (cpuMs(pid) - server) / result.everDone;
  const after = await backendsOf(database.name, admin);
  // A connection that has come meanwhile began at 0.
  const used = [...after].reduce((sum, [backend, ms]) => sum + ms - (backends.get(backend) ?? 0), 0);
  return { ...result, serverMs, postgresMs: after.size > 0 ? used / result.everDone : Number.NaN };
}

/**
 * The processor time of each connection to the database by its process; none where PostgreSQL is on
 * another machine, whose processes are not ours.
 */
async function backendsOf(database: string, admin: pg.Client): Promise<Map<number, number>> {
  const { rows } = await admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = $1
       and (inet_server_addr() is null or inet_server_addr() = inet_client_addr())`,
    [database],
  );
  return new Map(rows.map(({ pid }) => [pid, cpuMs(pid)] as const).filter(([, ms]) => !Number.isNaN(ms)));
}
