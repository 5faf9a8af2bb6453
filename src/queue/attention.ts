import type { Attention } from "../contract/overview.ts";
import { workerView } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { openPage } from "../db/pages.ts";
import { listAccountsAtLimitFirst } from "../fleet/accounts.ts";
import { listWorkersInTrouble } from "../fleet/workers.ts";
import { tasks } from "./task-list.ts";

const ACCOUNTS = 50;
const WORKERS_OF_EACH_KIND = 5;
const FAILURES = 6;

/** Reads what somebody may have to do something about. It is never old: who has just mended something sees that. */
export async function readAttention(db: Db): Promise<Attention> {
  const [accounts, inTrouble, failed] = await Promise.all([
    listAccountsAtLimitFirst(db, ACCOUNTS),
    listWorkersInTrouble(db, WORKERS_OF_EACH_KIND),
    openPage(db, tasks({ status: ["failed", "dead"] }, "slim"), { limit: FAILURES }),
  ]);
  const failures = JSON.parse(`[${failed.first}]`) as Attention["failures"];
  return { accounts, workers_in_trouble: inTrouble.map(workerView), failures };
}
