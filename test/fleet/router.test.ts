import { expect, it } from "vitest";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker, leaseTo } from "../support/factories.ts";

const { db, query } = await createTestDatabase();

/** The worker that the router chooses for a task whose last attempt was of the worker `tried`. The lease ends at once. */
async function chosen(tried: string | null = null): Promise<string> {
  const { id } = await aTask(db, { context_id: "garden" });
  await query("update llm_tasks set tried_by = $2 where id = $1", [id, tried]);
  const { worker } = await leaseTo(db, id);
  await query("update leases set status = 'released'");
  return worker.id;
}

it("between workers that are equal in all else, the last attempt decides, then the sign of life, then the id", async () => {
  for (const name of ["b", "a", "c"]) await aWorker(db, { name });
  const aliveAt = (id: string, ms: number) => query("update workers set last_heartbeat = $2 where id = $1", [id, ms]);
  const now = Date.now();
  for (const id of ["a", "b", "c"]) await aliveAt(id, now - 1_000);
  expect(await chosen()).toBe("a");
  expect(await chosen("a")).toBe("b");
  await aliveAt("c", now);
  expect(await chosen()).toBe("c");
  expect(await chosen("c")).toBe("a");
});
