import { pino } from "pino";
import { openDatabase } from "../../src/db/client.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { API_KEY, connect, timingOf } from "./load.ts";
import type { BenchDatabase, BenchPostgres } from "./postgres.ts";
import { lifecycle } from "./work.ts";

export interface Sweep {
  leases: number;
  tookMs: number;
  /** Of the calls that were made meanwhile. */
  longestCallMs: number;
  /** A pass that finds nothing. */
  idleMs: number;
}

/** Makes that many leases overdue and sweeps them, while a client of the service goes on working. */
export async function sweepMany(
  { atEnd }: BenchPostgres,
  { url, client }: BenchDatabase,
  base: string,
  leases: number,
): Promise<Sweep> {
  const { db, close } = openDatabase({ url, poolMax: 2 }, pino({ level: "silent" }));
  atEnd(close);
  const idle: number[] = [];
  for (let n = 0; n < 50; n++) {
    const started = performance.now();
    await sweepOnce(db);
    idle.push(performance.now() - started);
  }
  await client.query(
    `with task as (
       update llm_tasks set status = 'running', lease_id = gen_random_uuid(), worker_id = 'gone', attempts = 1
       where id in (select id from llm_tasks where status = 'queued' order by created_at limit ${leases}) returning id, lease_id, context_id
     )
     insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
     select lease_id, id, 'gone', 1, 1, 300, 'active', 1, context_id from task`,
  );
  const times = new Map<string, number[]>();
  const caller = connect(base, API_KEY, times);
  atEnd(caller.close);
  let isSwept = false;
  const started = performance.now();
  const sweeping = sweepOnce(db).then(() => {
    isSwept = true;
    return performance.now() - started;
  });
  for (let n = 0; !isSwept; n++) await lifecycle(caller, 0, n);
  const tookMs = await sweeping;
  return { leases, tookMs, longestCallMs: timingOf([...times.values()].flat()).max, idleMs: timingOf(idle).p50 };
}
