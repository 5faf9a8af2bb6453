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
});
