import pg from "pg";
import { expect, it, onTestFinished, vi } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import * as requests from "../../src/contract/requests.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { openClaimWaiters } from "../../src/queue/claim-waiters.ts";
import { findDispatchable } from "../../src/queue/find-dispatchable.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const KINDS = 100;
const WORKERS = 300;
/** As many as the pool has connections: a claim that waits 5 s for one is refused. */
const AT_A_TIME = 20;
const asking = (n: number) => ({ workerId: `w-${n}`, slugs: [`agent-${n % KINDS}`] });

// 20,000 tasks that ask for a label of a worker and for one that nobody has, and workers of as many kinds as there are agents.
await query(
  `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
     attempts, max_attempts, requires)
   select gen_random_uuid(), 'c', 'agent-' || n % 100, 'p', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'queued', n, n, 0, 3,
     jsonb_build_array('set-' || n % 50, 'nobody has it') from generate_series(1, 20000) n`,
);
await query(
  `insert into workers (id, node_id, url, status, capabilities, registered_at, last_heartbeat)
   select 'w-' || n, 'n', 'http://127.0.0.1:9', 'online', jsonb_build_object('claude_cli', true, 'max_concurrency', 1, 'labels', jsonb_build_array('set-' || n % 50)),
     1, floor(extract(epoch from now()) * 1000) from generate_series(0, 299) n`,
);
await query("analyze");

it("wakes one of many kinds for what is new, and asks little while nothing is, beside a backlog that nobody can take", async () => {
  const waiters = openClaimWaiters(db);
  onTestFinished(waiters.close);
  const leaving = new AbortController();
  let attempts = 0;
  const got: string[] = [];
  const wait = (n: number) => {
    const { workerId, slugs } = asking(n);
    const request = requests.claimTasksBody.parse({ worker_id: workerId, agent_slugs: slugs });
    return waiters.wait({ workerId, slugs }, leaving.signal, async () => {
      attempts += 1;
      const claim = await claimTasks(db, NOBODY, request);
      for (const { task } of claim.leased) got.push(task.id);
      return claim.leased.length > 0 ? undefined : claim;
    });
  };
  const waits: Promise<unknown>[] = [];
  while (waits.length < WORKERS) {
    for (let n = 0; n < AT_A_TIME; n++) waits.push(wait(waits.length));
    await eventually(() => expect(waiters.size()).toBe(waits.length), { interval: 10 });
  }
  expect(attempts).toBe(WORKERS);

  const asked = vi.spyOn(pg.Client.prototype, "query");
  const since = performance.now();
  await eventually(() => expect(performance.now() - since).toBeGreaterThan(2_000));
  expect(asked.mock.calls.length / 2).toBeLessThan(20);
  asked.mockRestore();

  const task = await aTask(db, { agent_slug: "agent-42", requires: ["set-42"] });
  waiters.notify();
  await eventually(() => expect(got).toEqual([task.id]), { interval: 10 });
  // Of 300 waiters only those were asked whom it suits.
  expect(attempts).toBeLessThan(WORKERS + 5);
  leaving.abort();
  await Promise.all(waits);
});

it("finds what agents have room for without reading what nobody can take", async () => {
  const task = await aTask(db, { requires: ["set-7"] });
  expect(await findDispatchable(db, 50)).toEqual([task.id]);
});
