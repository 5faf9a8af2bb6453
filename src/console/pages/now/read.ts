/** What the start page shows: four readings at the same time, and a fifth where a worker is offline. */
import type { Worker } from "../../../client/index.ts";
import { client } from "../../session.ts";

const FAILURES = 6;

/** Reads it. Rejects where one of the readings fails. */
export async function readNow(signal: AbortSignal) {
  const [overview, accounts, workers, failures] = await Promise.all([
    client.getOverview({}, { signal }),
    client.listAccounts({ limit: 50 }, { signal }),
    client.listWorkers({ limit: 200 }, { signal }),
    client.listTasks({ status: "failed,dead", limit: FAILURES, fields: "slim" }, { signal }),
  ]);
  return { overview, accounts, workers, failures, lost: await findLost(workers, signal) };
}

/** The workers that fell silent. A worker that announced its stop is offline too, but not lost. */
async function findLost(workers: Worker[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  const offline = workers.filter(({ status }) => status === "offline");
  if (offline.length === 0) return new Set();
  const entries = await client.listAudit({ action: "worker_offline", limit: 200 }, { signal });
  const silentSince = new Map(entries.toReversed().map(({ entity_id, timestamp }) => [entity_id, timestamp]));
  const lost = offline.filter(({ id, last_heartbeat }) => (silentSince.get(id) ?? -1) >= (last_heartbeat ?? 0));
  return new Set(lost.map(({ id }) => id));
}

export type NowData = Awaited<ReturnType<typeof readNow>>;
