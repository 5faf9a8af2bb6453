import { describe, expect, it } from "vitest";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

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
