import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { AUDIT_ENTRY, RESULT } from "../support/record-shapes.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

describe("what came of a task", () => {
  it("its results with outputs and error messages, the newest first, and its history, the oldest first", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { retry: { base_delay_sec: 0 } } });
    const complete = (body: object) =>
      api.post(`${TASKS}/${task.id}/complete`).send({ metrics: { duration_ms: 1 }, ...body });
    await complete({ status: "error", error_message: "out of memory" });
    await api.post(`${TASKS}/${task.id}/lease`).send({ worker_id: worker.id });
    await complete({ status: "success", output: "a haiku" });
    const results = (await api.get(`${TASKS}/${task.id}/results`)).body;
    expect(results).toEqual([RESULT, RESULT]);
    expect(results).toMatchObject([{ output: "a haiku" }, { status: "error", error_message: "out of memory" }]);
    const history = (await api.get(`${TASKS}/${task.id}/history`)).body;
    expect(history).toEqual(history.map(() => AUDIT_ENTRY));
    expect(history.map(({ action }: { action: string }) => action)).toEqual([
      "task_created",
      "task_leased",
      "task_completed",
      "task_requeued",
      "task_leased",
      "task_completed",
    ]);
  });

  it("says of an error in one line of 200 characters what it was", async () => {
    const { task } = await aLeasedTask(db);
    const error_message = `Not logged in\n\n  usage limit reached|1795480000 ${"🌱".repeat(200)}`;
    const failed = { status: "error", error_kind: "timeout", error_message, metrics: { duration_ms: 7 } };
    await api.post(`${TASKS}/${task.id}/complete`).send(failed).expect(200);
    const history = (await api.get(`${TASKS}/${task.id}/history`)).body;
    const { detail } = history.find(({ action }: { action: string }) => action === "task_completed");
    const [, said = ""] = detail.split("duration: 7ms, timeout: ");
    expect(said).toMatch(/^Not logged in usage limit reached until 2026-11-24T\S+ 🌱+.?…$/u);
    expect(said).toHaveLength(200);
  });

  it("is written down under one spelling of its id", async () => {
    const at = (id: string, verb: string, body: object) => api.post(`${TASKS}/${id}/${verb}`).send(body);
    const { task, lease } = await aLeasedTask(db);
    const loud = task.id.toUpperCase();
    await at(loud, "release", { lease_id: lease.id }).expect(200);
    await at(loud, "cancel", {}).expect(200);
    const other = await aLeasedTask(db);
    const failed = { status: "error", error_message: "no", metrics: { duration_ms: 1 } };
    await at(other.task.id.toUpperCase(), "complete", failed).expect(200);
    await at(other.task.id.toUpperCase(), "requeue", {}).expect(200);
    expect(
      await query("select 1 from audit_logs where entity_id in ($1, $2)", [loud, other.task.id.toUpperCase()]),
    ).toEqual([]);
    expect((await api.get(`${TASKS}/${loud}/history`)).body).toHaveLength(4);
  });
});
