/** What the start page shows: four readings at the same time. */
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
  return { overview, accounts, workers, failures };
}

export type NowData = Awaited<ReturnType<typeof readNow>>;
