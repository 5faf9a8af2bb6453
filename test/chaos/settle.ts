import type pg from "pg";
import { type Call, handOut, requeueSome, type Worker } from "./callers.ts";
import type { Random } from "./random.ts";
import { untilNoneLeft } from "./until-none-left.ts";

/** When no more faults come, the rest of the work may take as long as some of it gets done within this time. */
const PATIENCE = { stuckAfterMs: 120_000, everyMs: 50 };

/** Does the rest of the work without faults, until every task has come to its end or nothing gets done any more. `pass` is called in each round. */
export async function settle(
  client: pg.Client,
  { call, workers, random }: { call: Call; workers: Worker[]; random: Random },
  pass: (passedMs: number) => Promise<unknown> = async () => {},
): Promise<void> {
  const startedAt = performance.now();
  const open = async () =>
    (await client.query("select from llm_tasks where status in ('queued', 'leased', 'running', 'failed')")).rowCount ??
    0;
  await Promise.all(workers.map((worker) => worker.crash()));
  await untilNoneLeft(open, PATIENCE, async () => {
    await requeueSome(call, random);
    await handOut(call, workers, random, true);
    await Promise.all(workers.map((worker) => worker.claim(true)));
    await pass(performance.now() - startedAt);
  });
  await Promise.all(workers.map((worker) => worker.finish()));
}
