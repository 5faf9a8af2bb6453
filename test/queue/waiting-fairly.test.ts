/** A worker that waits hears of what it can take, whoever else waits. */
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody } from "../../src/contract/requests.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { openClaimWaiters } from "../../src/queue/claim-waiters.ts";
import { lockTask } from "../../src/queue/get-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
beforeEach(() => query("truncate llm_tasks, leases, workers"));

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);

/** Waiters of their own. `wait` has the workers wait in this order, and `got` says what each of them was given. */
function openWaiters() {
  const waiters = openClaimWaiters(db);
  const leaving = new AbortController();
  const waits: Promise<void>[] = [];
  const got = new Map<string, string>();
  onTestFinished(async () => {
    leaving.abort();
    waiters.close();
    await Promise.all(waits);
  });
  const wait = async (workers: string[]) => {
    const before = waiters.size();
    for (const [n, workerId] of workers.entries()) {
      const request = claimTasksBody.parse({ worker_id: workerId });
      const attempt = async () => {
        const claim = await claimTasks(db, NOBODY, request);
        const [first] = claim.leased;
        if (!first) return claim;
        got.set(workerId, first.task.id);
        return undefined;
      };
      waits.push(waiters.wait({ workerId, slugs: [] }, leaving.signal, attempt));
      await eventually(() => expect(waiters.size()).toBe(before + n + 1), { interval: 1 });
    }
  };
  return { waiters, wait, got };
}

it("whom a task is kept to gets it when it is due, before others that have waited longer", async () => {
  const others = names("other", 40);
  for (const name of [...others, "first"]) await aWorker(db, { name });
  const { id } = await aTask(db, { allow_fallback: false });
  await query("update llm_tasks set tried_by = 'first', retry_at = 9e12 where id = $1", [id]);
  const { waiters, wait, got } = openWaiters();
  await wait([...others, "first"]);
  await query("update llm_tasks set retry_at = $2 where id = $1", [id, Date.now()]);
  waiters.notify();
  await eventually(() => expect(got).toEqual(new Map([["first", id]])));
});

const FOR_OTHERS = { concurrency_key: "key", requires: ["gpu"] };
const KEPT = { concurrency_key: "key", allow_fallback: false };

it.each<[string, { before?: Record<string, unknown>[]; behind?: number }]>([
  ["behind ten tasks for others", { before: Array(10).fill(FOR_OTHERS) }],
  ["behind twelve that are kept to a worker who does not wait", { before: Array(12).fill(KEPT) }],
  ["before hundreds for others", { behind: 300 }],
])("what waits for a key is heard of %s with the same key", async (_place, { before = [], behind = 0 }) => {
  await aWorker(db, { name: "holder" });
  await aWorker(db, { name: "patient" });
  const held = await aTask(db, { concurrency_key: "key" });
  await claimTasks(db, NOBODY, claimTasksBody.parse({ worker_id: "holder" }));
  for (const fields of before) await aTask(db, fields);
  await query("update llm_tasks set tried_by = 'away' where not allow_fallback");
  const { id } = await aTask(db, { concurrency_key: "key" });
  await query(
    `insert into llm_tasks select (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid(), 'created_at', created_at + n,
       'requires', array['gpu']))).* from llm_tasks task, generate_series(1, $2::int) n where id = $1`,
    [id, behind],
  );
  await query("update llm_tasks set created_at = created_at - 1000000000, updated_at = 1 where status = 'queued'");
  const { waiters, wait, got } = openWaiters();
  // The first look takes everything for new.
  await aWorker(db, { name: "early" });
  await wait(["early"]);
  const early = await aTask(db);
  waiters.notify();
  await eventually(() => expect(got.get("early")).toBe(early.id));
  await wait(["patient"]);
  await query("update leases set status = 'released'");
  await query("update llm_tasks set status = 'completed', updated_at = $2 where id = $1", [held.id, Date.now()]);
  waiters.notify();
  await eventually(() =>
    expect(got).toEqual(
      new Map([
        ["early", early.id],
        ["patient", id],
      ]),
    ),
  );
});

it("what is new is heard of beside many who wait for a task that somebody has locked", async () => {
  for (const name of names("gpu", 12)) await aWorker(db, { name, capabilities: { labels: ["gpu"] } });
  await aWorker(db, { name: "other", capabilities: { labels: ["cpu"] } });
  const locked = await aTask(db, { requires: ["gpu"] });
  const { waiters, wait, got } = openWaiters();
  await db.transaction(async (tx) => {
    await lockTask(tx, locked.id);
    await wait([...names("gpu", 12), "other"]);
    const { id } = await aTask(db, { requires: ["cpu"] });
    waiters.notify();
    await eventually(() => expect(got).toEqual(new Map([["other", id]])));
  });
});

it("what anybody may take is heard of behind tasks that are kept to thousands who do not wait", async () => {
  await aWorker(db, { name: "other" });
  const { waiters, wait, got } = openWaiters();
  await wait(["other"]);
  await query(
    `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
       attempts, max_attempts, allow_fallback, tried_by)
     select gen_random_uuid(), 'c', 'agent', 'p', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'queued', now, now, 1, 3,
       false, 'away-' || n from generate_series(1, 5000) n, (select floor(extract(epoch from now()) * 1000) as now) as clock`,
  );
  const { id } = await aTask(db);
  waiters.notify();
  await eventually(() => expect(got).toEqual(new Map([["other", id]])), { timeout: 8_000 });
});
