import { pino } from "pino";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const direct = await createTestDatabase();
const address = new URL(direct.url);
const proxy = await startProxy(address.host);
address.host = `127.0.0.1:${proxy.port}`;
const ANSWER_WITHIN_MS = 500;
const behind = openDatabase(
  { url: address.href, poolMax: 5, answerWithinMs: ANSWER_WITHIN_MS },
  pino({ level: "silent" }),
);
afterAll(async () => {
  await behind.close();
  await proxy.close();
});
const { api } = await startApp(behind.db);

const TASKS = "/api/runtime/llm-tasks";
const task = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };
const create = () => api.post(TASKS).send(task);
const health = () => api.get("/api/runtime/health");

afterEach(async () => {
  await proxy.accept();
  proxy.thaw();
  proxy.delay(0);
});

const isWholeAgain = () =>
  vi.waitFor(async () => expect([(await create()).status, (await health()).status]).toEqual([201, 200]), 5_000);

describe("while the database is away", () => {
  it("every call answers 503 at once, with a reason and when to try again; health is degraded; then all is well", async () => {
    await isWholeAgain();
    await proxy.refuse();
    const startedAt = performance.now();
    const paths = [TASKS, "/api/runtime/stats", "/api/runtime/config", "/api/runtime/workers", "/api/runtime/audit"];
    const answers = await Promise.all([create(), ...paths.map((path) => api.get(path))]);
    for (const { status, body, headers } of answers) {
      expect([status, body]).toEqual([503, { error: expect.stringContaining("database does not answer") }]);
      expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    }
    const sick = await health();
    expect([sick.status, sick.body.status]).toEqual([503, "degraded"]);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await proxy.accept();
    await isWholeAgain();
  });

  // Two cores run two test files at once: a moment without a core is no fault.
  it("and its connections hang instead of failing, calls answer 503 all the same, and no connection stays in use", {
    retry: 3,
  }, async () => {
    await isWholeAgain();
    proxy.freeze();
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: 5 }, create));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(503));
    // One statement's patience, not a second one's for a rollback.
    expect(performance.now() - startedAt).toBeLessThan(ANSWER_WITHIN_MS * 1.9);
    proxy.thaw();
    await isWholeAgain();
  });
});

describe("when connections are cut", () => {
  it("in the middle of transactions, each call is done whole or not at all, and the service goes on", async () => {
    proxy.delay(5);
    const storm = setInterval(() => proxy.cut(), 30);
    const worker = await aWorker(direct.db, { capabilities: { max_concurrency: 32 } });
    const tasks = await Promise.all(Array.from({ length: 30 }, () => aTask(direct.db)));
    const leasing = tasks.map(({ id }) => api.post(`${TASKS}/${id}/lease`).send({ worker_id: worker.id }));
    const statuses = (await Promise.all(leasing)).map(({ status }) => status);
    clearInterval(storm);
    expect(statuses.filter((status) => status !== 201 && status !== 503)).toEqual([]);
    expect(statuses).toContain(503);
    const halves = await direct.query(
      `select t.id from llm_tasks t where (t.status = 'leased') is distinct from exists
         (select from leases l where l.task_id = t.id and l.status = 'active')
       or t.attempts <> (select count(*) from leases l where l.task_id = t.id)`,
    );
    expect(halves).toEqual([]);
    proxy.delay(0);
    await isWholeAgain();
  });

  it("by the server's administrator, the service goes on", async () => {
    for (let round = 0; round < 10; round++) {
      const calls = Array.from({ length: 10 }, create);
      await direct.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'bloom-runtime' and pid <> pg_backend_pid()",
      );
      for (const { status } of await Promise.all(calls)) expect([201, 503]).toContain(status);
    }
    await isWholeAgain();
  });
});
