import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { WORKER } from "../support/record-shapes.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";

describe("a drained worker", () => {
  it("gets no new work, hears of it with its heartbeat, goes on with what it has, and is resumed", async () => {
    const { task, worker } = await aLeasedTask(db, { worker: { capabilities: { max_concurrency: 9 } } });
    const drained = await api.post(`${WORKERS}/${worker.id}/drain`).send({ reason: "new disk", minutes: 5 });
    expect([drained.status, drained.body]).toEqual([200, WORKER]);
    expect(drained.body.drain.reason).toBe("new disk");
    expect(drained.body.drain.until - Date.now()).toBeGreaterThan(290_000);
    const another = await aTask(db);
    const lease = () => api.post(`${TASKS}/${another.id}/lease`).send({ worker_id: worker.id });
    expect((await lease()).status).toBe(503);
    expect((await api.post(`${TASKS}/${task.id}/heartbeat`)).body.drain).toBe(true);
    expect((await api.post(`${WORKERS}/${worker.id}/resume`)).body.drain).toBeNull();
    expect((await api.post(`${TASKS}/${task.id}/heartbeat`)).body.drain).toBe(false);
    expect((await lease()).status).toBe(201);
    const entries = await query("select action from audit_logs where entity_id = $1 order by timestamp, id", [
      worker.id,
    ]);
    expect(entries.map(({ action }) => action)).toEqual(["worker_registered", "worker_drained", "worker_resumed"]);
  });

  it("resumes by itself after its minutes", async () => {
    const { id } = await aWorker(db);
    await api.post(`${WORKERS}/${id}/drain`).send({ minutes: 5 });
    await query(`update workers set drain = '{"reason": "", "until": 1}' where id = $1`, [id]);
    expect((await api.get(`${WORKERS}/${id}`)).body.drain).toBeNull();
    expect((await api.get(WORKERS)).body.find((worker: { id: string }) => worker.id === id).drain).toBeNull();
    const task = await aTask(db);
    const leased = await api.post(`${TASKS}/${task.id}/lease`).send({ worker_id: id });
    expect([leased.status, leased.body.worker.drain]).toEqual([201, null]);
    expect((await api.post(`${WORKERS}/nobody/drain`)).status).toBe(404);
  });
});
