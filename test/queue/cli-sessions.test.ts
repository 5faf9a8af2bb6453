import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { attempt } from "../support/attempts.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

await aWorker(db, { name: "a1", account: "max-1", capabilities: { max_concurrency: 32 } });
await aWorker(db, { name: "b1", capabilities: { max_concurrency: 32 } });

describe("a task with resume", () => {
  it("goes to the worker that has a session of its context, which is told which", async () => {
    for (const session_id of ["s-1", "s-2"])
      await attempt(api, (await aTask(db, { context_id: "garden" })).id, "b1", {
        status: "success",
        output: "x",
        metrics: { duration_ms: 1, session_id },
      });
    const { id } = await aTask(db, { context_id: "garden", resume: true });
    await query("update workers set last_heartbeat = last_heartbeat + 1000 where id = 'a1'");
    expect((await api.post(`${TASKS}/${id}/lease`).send({}).expect(201)).body.worker.id).toBe("b1");
    for (const context_id of ["garden", "elsewhere"]) await aTask(db, { context_id, resume: true });
    const { tasks } = (await api.post(`${TASKS}/claim`).send({ worker_id: "b1", max_tasks: 2 }).expect(200)).body;
    expect(tasks.map(({ resume_session }: { resume_session?: string }) => resume_session)).toEqual(["s-2", undefined]);
  });

  it("begins a new session where another worker did the last turn of the context, and goes on in that one", async () => {
    const context_id = "conversation";
    const turn = async (worker_id: string, session_id: string) => {
      const { id } = await aTask(db, { context_id, resume: true });
      const { tasks } = (await api.post(`${TASKS}/claim`).send({ worker_id }).expect(200)).body;
      const body = { status: "success", output: "x", metrics: { duration_ms: 1, session_id } };
      await api.post(`${TASKS}/${id}/complete`).send(body).expect(200);
      // Two turns are never of one millisecond, except in a test.
      await query("update runtime_cli_sessions set updated_at = updated_at - 1000 where context_id = $1", [context_id]);
      return tasks[0].resume_session;
    };
    expect(await turn("b1", "of-b1")).toBeUndefined();
    expect(await turn("a1", "of-a1")).toBeUndefined();
    const { id } = await aTask(db, { context_id, resume: true });
    await query("update workers set last_heartbeat = last_heartbeat + 1000 where id = 'b1'");
    const { lease } = (await api.post(`${TASKS}/${id}/lease`).send({}).expect(201)).body;
    expect(lease.worker_id).toBe("a1");
    await api.post(`${TASKS}/${id}/release`).send({ lease_id: lease.id }).expect(200);
    await api.post(`${TASKS}/${id}/cancel`).send({}).expect(200);
    expect(await turn("b1", "of-b1-again")).toBeUndefined();
    expect(await turn("b1", "of-b1-again")).toBe("of-b1-again");
  });
});
