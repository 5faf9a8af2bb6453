import type pg from "pg";
import type { Meters } from "../metrics/service-meters.ts";
import type { LockPlaces } from "./lock-waits.ts";

/** Shows in the metrics how many connections the pool has, and how many statements wait for one. */
export function reportConnections(
  pool: pg.Pool,
  { poolMax, lockPlaces }: { poolMax: number; lockPlaces: LockPlaces },
  { registry }: Meters,
): void {
  registry.watch("pool", () => [
    {
      name: "bloom_db_pool_connections",
      help: "Connections to the database by what they do now.",
      values: [
        { value: pool.totalCount - pool.idleCount, labels: { state: "in use" } },
        { value: pool.idleCount, labels: { state: "idle" } },
      ],
    },
    {
      name: "bloom_db_pool_max_connections",
      help: "The most connections that the pool opens (DB_POOL_MAX).",
      values: [{ value: poolMax }],
    },
    {
      name: "bloom_db_pool_waiting",
      help: "Statements and transactions that wait for a connection now.",
      values: [{ value: pool.waitingCount + lockPlaces.waiting() }],
    },
  ]);
}
