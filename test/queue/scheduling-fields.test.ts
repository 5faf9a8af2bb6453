/** The fields of a task that say where and when it runs: `prefers`, `queue_ttl_sec` and `concurrency_key`. */
import pg from "pg";
import { describe, expect, it, vi } from "vitest";
import type { Lease, Task } from "../../src/contract/record-types.ts";
import { findDispatchable } from "../../src/queue/find-dispatchable.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aWorker } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const { api, claimWaiters } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

interface Held {
  task: Task;
  lease: Lease;
}

interface Plan {
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  Plans?: Plan[];
}
/** How many rows of tasks a plan has read, whether they were wanted or not. */
function tasksRead(plan: Plan): number {
  const rows = plan["Actual Loops"] * (plan["Actual Rows"] + (plan["Rows Removed by Filter"] ?? 0));
  const own = plan["Relation Name"] === "llm_tasks" ? rows : 0;
  return (plan.Plans ?? []).reduce((sum, part) => sum + tasksRead(part), own);
}

async function create(fields: object) {
  const sent = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku.", ...fields };
  return (await api.post(TASKS).send(sent).expect(201)).body;
}
const read = async (id: string) => (await api.get(`${TASKS}/${id}`).expect(200)).body;
const post = (id: string, call: string, body: object = {}) => api.post(`${TASKS}/${id}/${call}`).send(body);

describe("prefers", () => {
  it("decides between workers whose CLI is not warm, before their room does", async () => {
    await aWorker(db, { name: "roomy", capabilities: { max_concurrency: 9 } });
    await aWorker(db, { name: "fast", capabilities: { max_concurrency: 3, labels: ["fast", "near"] } });
    await aWorker(db, { name: "near", capabilities: { max_concurrency: 3, labels: ["near"] } });
    const workerFor = async (fields: object) => {
      const { id } = await create({ context_id: String(Math.random()), ...fields });
      const { worker } = (await post(id, "lease").expect(201)).body;
      await post(id, "cancel").expect(200);
      await post(id, "complete", { status: "success", metrics: { duration_ms: 1 } }).expect(200);
      return worker.id;
    };
    expect(await workerFor({})).toBe("roomy");
    expect(await workerFor({ prefers: ["fast", "near"] })).toBe("fast");
    expect(await workerFor({ policy: { preferred_labels: ["fast"] } })).toBe("fast");
    expect(await workerFor({ prefers: ["nobody has it"] })).toBe("roomy");
    expect(await workerFor({ prefers: ["nobody has it"], policy: { preferred_labels: ["near"] } })).toBe("roomy");
    const held = await create({ context_id: "warm" });
    await post(held.id, "lease", { worker_id: "near" }).expect(201);
    expect(await workerFor({ context_id: "warm", prefers: ["fast"] })).toBe("near");
    const { prefers, policy } = await create({ prefers: ["a"], policy: { preferred_labels: ["b", "a"] } });
    expect([prefers, policy.preferred_labels]).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
    await query("update llm_tasks set status = 'cancelled' where status = 'queued'");
    await query("delete from workers");
  });
});

describe("queue_ttl_sec", () => {
  const letTimePass = (id: string) => query("update llm_tasks set queue_until = 1 where id = $1", [id]);

  it("ends a task as dead that was never started in time, and says so beforehand", async () => {
    const task = await create({ queue_ttl_sec: 60 });
    expect(task).toMatchObject({ queue_ttl_sec: 60, queue_until: task.created_at + 60_000 });
    const later = task.created_at + 3_600_000;
    expect(await create({ queue_ttl_sec: 60, not_before: later })).toMatchObject({ queue_until: later + 60_000 });
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body.reason).toContain(
      `If no worker starts it before ${new Date(task.queue_until).toISOString()}, it is dead.`,
    );
    const forEver = await create({});
    expect(await sweepOnce(db)).toMatchObject({ dead: 0 });
    await letTimePass(task.id);
    expect(await sweepOnce(db)).toEqual({ expired: 0, requeued: 0, dead: 1, cancelled: 0 });
    const why = "No worker started it within the 60 s of its queue_ttl_sec.";
    expect(await read(task.id)).toMatchObject({ status: "dead", attempts: 0, last_error: why });
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body.reason).toContain(why);
    const entries = (await api.get(`${TASKS}/${task.id}/history`)).body;
    expect(entries.at(-1)).toMatchObject({ action: "task_dead", actor: "runtime", detail: why });
    expect(await read(forEver.id)).toMatchObject({ status: "queued", queue_until: null });
    const { body: anew } = await post(task.id, "requeue").expect(200);
    expect(anew.queue_until).toBe(anew.updated_at + 60_000);
  });

  it("counts for a task that was handed back unstarted, and not for one that was tried", async () => {
    await aWorker(db, { name: "w" });
    const tried = await create({ queue_ttl_sec: 60, retry: { base_delay_sec: 0 } });
    await post(tried.id, "lease", { worker_id: "w" }).expect(201);
    await post(tried.id, "complete", { status: "error", metrics: { duration_ms: 1 } }).expect(200);
    const handedBack = await create({ queue_ttl_sec: 60 });
    const { lease } = (await post(handedBack.id, "lease", { worker_id: "w" }).expect(201)).body;
    await post(handedBack.id, "release", { lease_id: lease.id }).expect(200);
    const held = await create({ queue_ttl_sec: 60 });
    await post(held.id, "lease", { worker_id: "w" }).expect(201);
    for (const { id } of [tried, handedBack, held]) await letTimePass(id);
    expect(await sweepOnce(db)).toMatchObject({ dead: 1 });
    const statuses = [];
    for (const { id } of [tried, handedBack, held]) statuses.push((await read(id)).status);
    expect(statuses).toEqual(["queued", "dead", "leased"]);
  });

  it.each([0, 2_592_001, 1.5, "60"])("is not %j", async (queue_ttl_sec) => {
    await api.post(TASKS).send({ context_id: "c", agent_slug: "a", prompt: "p", queue_ttl_sec }).expect(400);
  });
});

describe("concurrency_key", () => {
  const claim = async (worker_id: string, fields: object = {}): Promise<Held[]> => {
    const { status, body } = await api.post(`${TASKS}/claim`).send({ worker_id, max_tasks: 9, ...fields });
    expect([200, 204]).toContain(status);
    return status === 200 ? body.tasks : [];
  };
  const idsOf = (tasks: Held[]) => tasks.map(({ task }) => task.id);
  const emptyQueue = () =>
    query("update llm_tasks set status = 'cancelled', lease_id = null where status in ('queued', 'leased', 'running')");
  const done = { status: "success", output: "o", metrics: { duration_ms: 1 } };

  it("lets one task of a key be held, which a claim passes over and a lease and explain name, until it is not held any more", async () => {
    await emptyQueue();
    await aWorker(db, { name: "k", capabilities: { max_concurrency: 32 }, url: "http://127.0.0.1:9" });
    const first = await create({ concurrency_key: "session" });
    const waiting = [];
    for (let n = 0; n < 6; n++) waiting.push(await create({ concurrency_key: "session" }));
    const [other, plain] = [await create({ concurrency_key: "another" }), await create({})];
    expect(await findDispatchable(db, 10)).toEqual([first.id, other.id, plain.id]);
    const [held, ...rest] = await claim("k");
    expect([held?.task.id, ...idsOf(rest)]).toEqual([first.id, other.id, plain.id]);
    expect(await claim("k")).toEqual([]);
    expect(await findDispatchable(db, 10)).toEqual([]);
    const { error } = (await post(waiting[0].id, "lease", { worker_id: "k" }).expect(409)).body;
    expect(error).toContain(`Task ${first.id} has the same concurrency_key and is running`);
    await post(waiting[0].id, "lease").expect(409);
    expect((await api.get(`${TASKS}/${waiting[0].id}/explain`)).body.reason).toContain(`Task ${first.id} has the same`);

    const ways = [
      (id: string) => post(id, "complete", done),
      (id: string) => post(id, "complete", { ...done, status: "error", output: null }),
      (id: string, lease_id: string) => post(id, "release", { lease_id }).then(() => post(id, "cancel")),
      async (id: string) => {
        await post(id, "cancel").expect(200);
        await makeOverdue(id);
        await sweepOnce(db);
      },
      async (id: string) => {
        await query("update llm_tasks set max_attempts = 1 where id = $1", [id]);
        await makeOverdue(id);
        await sweepOnce(db);
      },
    ];
    let [id, leaseId] = [first.id, held?.lease.id ?? ""];
    for (const [n, free] of ways.entries()) {
      await free(id, leaseId);
      const [next] = await claim("k");
      expect(next?.task.id).toBe(waiting[n].id);
      [id, leaseId] = [next?.task.id ?? "", next?.lease.id ?? ""];
    }
    await post(id, "complete", done).expect(200);
    await post(waiting[5].id, "lease", { worker_id: "k" }).expect(201);
  });

  it("is exact when many claim and lease at the same moment, none of whom sees an error for it", async () => {
    await emptyQueue();
    const names = Array.from({ length: 8 }, (_, n) => `racer-${n}`);
    for (const name of names) await aWorker(db, { name, capabilities: { max_concurrency: 4 } });
    const created = [];
    for (let n = 0; n < 24; n++) created.push(await create({ concurrency_key: `key ${n % 3}` }));
    const finished = new Set<string>();
    for (let round = 0; finished.size < created.length && round < 100; round++) {
      const leased = created.filter(({ id }) => !finished.has(id)).slice(0, 6);
      const [claims, leases] = await Promise.all([
        Promise.all(names.map((name) => claim(name, { max_tasks: 4 }))),
        Promise.all(leased.map(({ id }) => post(id, "lease", { worker_id: "racer-0" }).then(({ status }) => status))),
      ]);
      for (const status of leases) expect([201, 409]).toContain(status);
      const held = await query<{ id: string; key: string }>(
        "select id, concurrency_key as key from llm_tasks where status = 'leased'",
      );
      expect(held.length).toBe(new Set(held.map(({ key }) => key)).size);
      expect(held.length).toBeGreaterThan(0);
      expect(held.map(({ id }) => id)).toEqual(expect.arrayContaining(idsOf(claims.flat())));
      for (const { id } of held) {
        await post(id, "complete", done).expect(200);
        finished.add(id);
      }
    }
    expect(finished.size).toBe(created.length);
  });

  it("wakes a worker that waits when the key becomes free", async () => {
    await emptyQueue();
    await aWorker(db, { name: "holder" });
    await aWorker(db, { name: "patient", capabilities: { labels: ["gpu"] } });
    const holding = await create({ concurrency_key: "one" });
    await post(holding.id, "lease", { worker_id: "holder" }).expect(201);
    const next = await create({ concurrency_key: "one", requires: ["gpu"] });
    await query("update llm_tasks set created_at = 1, updated_at = 1 where id = $1", [next.id]);
    const waiting = claim("patient", { wait_seconds: 25 });
    await eventually(() => expect(claimWaiters.size()).toBe(1));
    // The room has looked at all that is new by then, and found nothing.
    const asked = vi.spyOn(pg.Client.prototype, "query");
    await eventually(() => expect(asked.mock.calls.length).toBeGreaterThan(1));
    asked.mockRestore();
    const endedAt = performance.now();
    await post(holding.id, "complete", done).expect(200);
    expect(idsOf(await waiting)).toEqual([next.id]);
    expect(performance.now() - endedAt).toBeLessThan(15_000);
  });

  it("keeps thousands of tasks of a held key out of the way, and the order of those whose key is free", async () => {
    await emptyQueue();
    await query("delete from workers");
    await aWorker(db, { name: "busy", capabilities: { max_concurrency: 32 }, url: "http://127.0.0.1:9" });
    await create({ concurrency_key: "hot", context_id: "hot" });
    expect(await claim("busy")).toHaveLength(1);
    const { id } = await create({ concurrency_key: "hot", context_id: "hot" });
    await query(
      `insert into llm_tasks select (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid(), 'created_at', created_at - n))).*
       from llm_tasks task, generate_series(1, 5000) n where id = $1`,
      [id],
    );
    await query("analyze llm_tasks");
    const created = [];
    for (const fields of [{ concurrency_key: "x" }, { concurrency_key: "a" }, {}]) created.push(await create(fields));
    expect(await findDispatchable(db, 10)).toEqual(created.map(({ id }) => id));
    const asked = vi.spyOn(pg.Client.prototype, "query");
    for (const [n, agents] of [{}, { agent_slugs: ["writer", "other"] }, {}].entries())
      expect(idsOf(await claim("busy", { max_tasks: 1, ...agents }))).toEqual([created[n].id]);
    // It finds nothing any more, so that its statements can be run again to see what they read.
    asked.mockClear();
    expect(await claim("busy")).toEqual([]);
    const looks = (asked.mock.calls as unknown as [pg.QueryConfig][]).filter(([{ name }]) => name?.startsWith("claim"));
    asked.mockRestore();
    expect(looks).toHaveLength(2);
    for (const [{ text, values }] of looks) {
      const [row] = await query<{ "QUERY PLAN": [{ Plan: Plan }] }>(`explain (analyze, format json) ${text}`, values);
      expect(row && tasksRead(row["QUERY PLAN"][0].Plan)).toBeLessThan(2_000);
    }
    expect(await claim("busy", { agent_slugs: ["writer", "other"] })).toEqual([]);
    expect(await findDispatchable(db, 10)).toEqual([]);
    // What stands before them is taken at the first look, and what stands behind them is not in its way.
    for (const agents of [{}, { agent_slugs: ["writer", "other"] }]) {
      const [before, behind] = [await create({}), await create({})];
      await query("update llm_tasks set created_at = 1 where id = $1", [before.id]);
      const asked = vi.spyOn(pg.Client.prototype, "query");
      expect(idsOf(await claim("busy", { max_tasks: 2, ...agents }))).toEqual([before.id]);
      const looks = (asked.mock.calls as unknown as [pg.QueryConfig][]).filter(([{ name }]) =>
        name?.startsWith("claim"),
      );
      asked.mockRestore();
      expect(looks).toHaveLength(1);
      expect(idsOf(await claim("busy", { max_tasks: 2, ...agents }))).toEqual([behind.id]);
    }
    // With more keys than are looked for one by one, the order is kept too.
    await query(
      `insert into llm_tasks select (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid(), 'concurrency_key', 'k' || n,
         'created_at', created_at + case n when 700 then 1 else 2 end))).* from llm_tasks task, generate_series(1, 1100) n where id = $1`,
      [id],
    );
    const [first] = await query<{ id: string }>("select id from llm_tasks where concurrency_key = 'k700'");
    expect(idsOf(await claim("busy", { max_tasks: 1 }))).toEqual([first?.id]);
  });

  it("is text of 256 characters at most", async () => {
    for (const concurrency_key of ["", "x".repeat(257), 5])
      await api.post(TASKS).send({ context_id: "c", agent_slug: "a", prompt: "p", concurrency_key }).expect(400);
  });
});
