import pg from "pg";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Task } from "../../src/contract/record-types.ts";
import { listen } from "../../src/db/listen.ts";
import { QUEUE_NEWS } from "../../src/queue/queue-news.ts";
import { createKey, revokeKey } from "../../src/saved-config/named-keys.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, aTask, completion } from "../support/factories.ts";
import { ARTIFACT, RESULT, TASK } from "../support/record-shapes.ts";

const { db, url: databaseUrl, query } = await createTestDatabase();
const app = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const SENT = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };

function result(taskId: string, seconds: number, { url, signal }: { url?: string; signal?: AbortSignal } = {}) {
  const path = `${TASKS}/${taskId}/result?wait_seconds=${seconds}`;
  return fetch((url ?? app.url) + path, { signal: signal ?? AbortSignal.timeout(60_000) });
}
const waiting = (count: number, { resultWaiters }: TestApp = app) =>
  eventually(() => expect(resultWaiters.size()).toBe(count));

describe("the result of a task", () => {
  it("is answered at once when the task has ended, and 202 with the task while it has not", async () => {
    const { task } = await aLeasedTask(db);
    const { body: open } = await app.api.get(`${TASKS}/${task.id}/result`).expect(202);
    expect(open).toEqual({ task: TASK, result: null, artifact: null });
    await app.api.post(`${TASKS}/${task.id}/complete`).send(completion()).expect(200);
    const { body } = await app.api.get(`${TASKS}/${task.id}/result?wait_seconds=25`).expect(200);
    expect(body).toEqual({ task: TASK, result: RESULT, artifact: ARTIFACT });
    expect(body).toMatchObject({ task: { status: "completed" }, result: { output: "the output" } });
  });

  it("is that of the last lease: a task that was started anew and cancelled has none", async () => {
    const { task } = await aLeasedTask(db);
    const failure = completion({ status: "error", output: null, error_message: "no" });
    await app.api.post(`${TASKS}/${task.id}/complete`).send(failure).expect(200);
    const { body: failed } = await app.api.get(`${TASKS}/${task.id}/result`).expect(200);
    expect(failed).toMatchObject({ task: { status: "failed" }, result: { error_message: "no" } });
    await app.api.post(`${TASKS}/${task.id}/requeue`).expect(200);
    await app.api.post(`${TASKS}/${task.id}/cancel`).send({}).expect(200);
    const { body } = await app.api.get(`${TASKS}/${task.id}/result`).expect(200);
    expect(body).toMatchObject({ task: { status: "cancelled" }, result: null, artifact: null });
  });

  it("answers 404 without the task, and 400 for a time that makes no sense", async () => {
    await app.api.get(`${TASKS}/00000000-0000-4000-8000-000000000000/result?wait_seconds=1`).expect(404);
    const { id } = await aTask(db);
    for (const seconds of ["26", "-1", "soon"])
      await app.api.get(`${TASKS}/${id}/result?wait_seconds=${seconds}`).expect(400);
  });

  it("comes when the task ends, however that happens, and on another instance within 2 s without a notification", async () => {
    const log = pino({ level: "silent" });
    const listener = listen(databaseUrl, QUEUE_NEWS, log, app.resultWaiters.notify);
    onTestFinished(listener.stop);
    const other = await startApp(db);
    const { task } = await aLeasedTask(db);
    const queued = await aTask(db);
    const answers = [result(task.id.toUpperCase(), 25), result(task.id, 25, other), result(queued.id, 25)];
    await waiting(2);
    await waiting(1, other);
    const endedAt = performance.now();
    await other.api.post(`${TASKS}/${task.id}/complete`).send(completion()).expect(200);
    await app.api.post(`${TASKS}/${queued.id}/cancel`).send({}).expect(200);
    const all = await Promise.all(answers);
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(performance.now() - endedAt).toBeLessThan(10_000);
    const statuses = await Promise.all(all.map(async (one) => ((await one.json()) as { task: Task }).task.status));
    expect(statuses).toEqual(["completed", "completed", "cancelled"]);
    await waiting(0);
  });

  it("costs one query for all who wait, not one each", async () => {
    const tasks = await Promise.all(Array.from({ length: 150 }, () => aTask(db)));
    const leaving = new AbortController();
    const answers = Promise.allSettled(tasks.map(({ id }) => result(id, 25, { signal: leaving.signal })));
    await waiting(150);
    const asked = vi.spyOn(pg.Client.prototype, "query");
    onTestFinished(() => void asked.mockRestore());
    const looks = () =>
      asked.mock.calls.flatMap(([config]) => {
        const { text = "", values = [] } = config as unknown as pg.QueryConfig;
        return text.includes("from llm_tasks where id = any") ? [values[0]] : [];
      });
    await eventually(() => expect(looks().length).toBeGreaterThan(1));
    for (const ids of looks()) expect(ids).toHaveLength(150);
    leaving.abort();
    await answers;
    // Those whose clients have gone do not wait any more.
    await waiting(0);
  });

  it("is refused to those who are too many, before anything is created; others get 202 at the service's stop", async () => {
    const small = await startApp(db, { mostWaiters: 1 });
    const { id } = await aTask(db);
    const first = result(id, 25, small);
    await waiting(1, small);
    const refused = await small.api.get(`${TASKS}/${id}/result?wait_seconds=1`).expect(503);
    expect(refused.headers["retry-after"]).toBeDefined();
    const count = async () => (await query("select count(*)::int from llm_tasks"))[0];
    const before = await count();
    await small.api.post(TASKS).set("Prefer", "wait=1").send(SENT).expect(503);
    expect(await count()).toEqual(before);
    small.resultWaiters.close();
    expect((await first).status).toBe(202);
  });

  it("is not given for a key that is revoked meanwhile", async () => {
    const guarded = await startApp(db, { env: { RUNTIME_API_KEY: "the key of the runtime" } });
    const key = await createKey(db, undefined, "impatient", "submit");
    const { id } = await aTask(db);
    const headers = { "X-Runtime-API-Key": key };
    const answer = fetch(`${guarded.url}${TASKS}/${id}/result?wait_seconds=25`, { headers });
    const creation = fetch(guarded.url + TASKS, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json", prefer: "wait=25" },
      body: JSON.stringify({ ...SENT, unknown: 1 }),
    });
    await waiting(2, guarded);
    await revokeKey(db, undefined, "impatient");
    expect((await answer).status).toBe(401);
    const refused = await creation;
    const said = ["preference-applied", "x-ignored-fields"].map((name) => refused.headers.get(name));
    expect([refused.status, ...said]).toEqual([401, null, null]);
  });
});

describe("a creation that prefers to wait", () => {
  const create = (prefer: string, key?: string) =>
    fetch(app.url + TASKS, {
      method: "POST",
      headers: { "content-type": "application/json", prefer, ...(key && { "idempotency-key": key }) },
      body: JSON.stringify(SENT),
    });

  it("is answered with the result when the task has ended, also for the same creation again", async () => {
    const answer = create("respond-async, wait=60", "waits");
    await waiting(1);
    const [{ id } = { id: "" }] = await query<{ id: string }>(
      "select id from llm_tasks where idempotency_key = 'waits'",
    );
    await app.api.post(`${TASKS}/${id}/cancel`).send({}).expect(200);
    app.resultWaiters.notify();
    for (const response of [await answer, await create("wait=5", "waits")]) {
      expect(response.status).toBe(200);
      expect(response.headers.get("preference-applied")).toMatch(/^wait=(25|5)$/);
      expect(await response.json()).toMatchObject({ task: { id, status: "cancelled" }, result: null });
    }
  });

  it("is answered 202 with the task when the time is up, and 201 as ever where it does not say how long", async () => {
    const late = await create("wait=1");
    expect(late.status).toBe(202);
    expect(late.headers.get("preference-applied")).toBe("wait=1");
    expect(await late.json()).toMatchObject({ task: TASK });
    for (const prefer of ["return=representation", "wait=soon", "wait=0", "awaiting=3"]) {
      const plain = await create(prefer);
      expect([plain.status, plain.headers.get("preference-applied")]).toEqual([201, null]);
      expect(await plain.json()).toEqual(TASK);
    }
  });
});
