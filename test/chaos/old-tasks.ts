/** Retention under faults: tasks that ended long ago are removed, and the checks of all others say that nothing else is. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { type Call, until } from "./fleet.ts";
import type { Instance } from "./instances.ts";

/** For how many days the instances keep what has ended: longer than any run takes. */
export const KEPT_DAYS = 1;
const OLD_TASKS = 20;
const REMOVED_WITHIN_MS = 60_000;

/** Makes tasks that ended two days ago, and gives their ids. */
export async function makeOldTasks(client: pg.Client, call: Call): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < OLD_TASKS; n++) {
    const task = { context_id: "old", agent_slug: "writer", prompt: `old ${n}`, not_before: Date.now() + 86_400_000 };
    const created = await until(() => call("POST", "/llm-tasks", task, { "Idempotency-Key": `old ${n}` }));
    await until(() => call("POST", `/llm-tasks/${created.body.id}/cancel`, {}));
    ids.push(created.body.id);
  }
  const twoDaysMs = 2 * 86_400_000;
  await client.query(
    "update llm_tasks set created_at = created_at - $2::bigint, updated_at = updated_at - $2::bigint where id = any($1)",
    [ids, twoDaysMs],
  );
  return ids;
}

/** Says whether they are there still. Passes are minutes apart, but for the one that each start of an instance makes. */
export async function findOldTasks(client: pg.Client, ids: string[], instances: Instance[]): Promise<string[]> {
  const left = async () =>
    (await client.query("select id from llm_tasks where id = any($1::uuid[])", [ids])).rowCount ?? 0;
  if ((await left()) === 0) return [];
  await Promise.all(instances.map((instance) => instance.restart("SIGTERM")));
  const startedAt = performance.now();
  while (performance.now() - startedAt < REMOVED_WITHIN_MS) {
    if ((await left()) === 0) return [];
    await delay(500);
  }
  return [`${await left()} of ${ids.length} tasks that ended two days ago were not removed`];
}
