import express from "express";
import { pino } from "pino";
import request from "supertest";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody } from "../../src/contract/requests.ts";
import { openDatabase } from "../../src/db/client.ts";
import { isDatabaseUnavailable } from "../../src/db/faults.ts";
import { clientGone } from "../../src/http/client-gone.ts";
import { deliverGrant } from "../../src/http/deliver-grant.ts";
import { sendJson } from "../../src/http/send-json.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { pgbouncerPath, startPgbouncer } from "../support/pgbouncer.ts";
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
const { api, url } = await startApp(behind.db);

const TASKS = "/api/runtime/llm-tasks";
const task = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };
const create = async () => api.post(TASKS).send(task);
const health = () => api.get("/api/runtime/health");

afterEach(async () => {
  await proxy.accept();
  proxy.thaw();
  proxy.delay(0);
});

const isWholeAgain = () =>
  eventually(async () => expect([(await create()).status, (await health()).status]).toEqual([201, 200]));

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
    expect([sick.status, sick.body.status, sick.headers["retry-after"]]).toEqual([503, "degraded", "2"]);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await proxy.accept();
    await isWholeAgain();
  });

  // Tried again, since a busy machine may give the service no core for so long.
  it("and its connections hang instead of failing, calls answer 503 all the same, and no connection stays in use", {
    retry: 3,
  }, async () => {
    await isWholeAgain();
    proxy.freeze();
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: 5 }, create));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(503));
    // One statement's patience, and before that of a set under way where one had to wait for it; not another one's for a rollback.
    expect(performance.now() - startedAt).toBeLessThan(ANSWER_WITHIN_MS * 2.9);
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

const backends = (condition = "true") =>
  direct.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name = 'bloom-runtime' and ${condition}`,
  );
const waiting = () => backends("wait_event_type = 'Lock'");

describe("what takes too long", () => {
  it("ends on the server too, and the server never works for more connections than the pool has", async () => {
    await isWholeAgain();
    await holdTransaction(direct.db, "lock table llm_tasks");
    const most = { waiting: 0 };
    const counting = setInterval(async () => {
      most.waiting = Math.max(most.waiting, (await waiting()).length);
    }, 50);
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(Array.from({ length: 8 }, create));
      for (const { status } of answers) expect(status).toBe(503);
    }
    clearInterval(counting);
    expect(most.waiting).toBeGreaterThan(0);
    expect(most.waiting).toBeLessThanOrEqual(5);
    await eventually(async () => expect(await waiting()).toEqual([]));
  });

  it.skipIf(pgbouncerPath === undefined)("ends on the server behind PgBouncer too", async () => {
    const bouncer = await startPgbouncer(pgbouncerPath ?? "", direct.url);
    const pool = openDatabase(
      { url: bouncer.url, poolMax: 2, answerWithinMs: ANSWER_WITHIN_MS },
      pino({ level: "silent" }),
    );
    onTestFinished(() => pool.close().then(bouncer.stop));
    await holdTransaction(direct.db, "lock table llm_tasks");
    await expect(aTask(pool.db)).rejects.toSatisfy(isDatabaseUnavailable);
    // The lock is still held, so that only a cancelled statement waits no longer.
    await eventually(async () => expect(await waiting()).toEqual([]));
  });

  it("keeps its place in the pool as long as the server cannot be told to end it", async () => {
    await isWholeAgain();
    await holdTransaction(direct.db, "lock table llm_tasks");
    const creating = Array.from({ length: 5 }, create);
    await eventually(async () => expect(await waiting()).not.toEqual([]), { interval: 10 });
    proxy.freeze();
    for (const { status } of await Promise.all(creating)) expect(status).toBe(503);
    proxy.thaw();
    await Promise.all(Array.from({ length: 8 }, create));
    expect((await waiting()).length).toBeLessThanOrEqual(5);
  });
});

describe("a grant that nobody has heard of goes back to the queue with its attempt", () => {
  const isBack = (id: string) =>
    eventually(async () => {
      expect(await getTask(direct.db, id)).toMatchObject({ status: "queued", attempts: 0, lease_id: null });
      const told = "select detail from audit_logs where action = 'task_released' and entity_id = $1";
      expect(await direct.query(told, [id])).toHaveLength(1);
    });
  const aloneInQueue = async () => {
    await direct.query("update llm_tasks set status = 'cancelled', lease_id = null where status = 'queued'");
    return [await aTask(direct.db), await aWorker(direct.db)] as const;
  };

  it("when the answer of the database was lost on its way", async () => {
    for (const call of ["claim", "lease"]) {
      // The call needs a connection that is open: a new one would not be ready in its time.
      await isWholeAgain();
      const [task, worker] = await aloneInQueue();
      proxy.delay(ANSWER_WITHIN_MS * 0.9);
      const path = call === "claim" ? `${TASKS}/claim` : `${TASKS}/${task.id}/lease`;
      const calling = api.post(path).send({ worker_id: worker.id });
      expect((await calling).status).toBe(503);
      proxy.delay(0);
      await isBack(task.id);
    }
  });

  it("when its answer cannot be made", async () => {
    const [task, worker] = await aloneInQueue();
    const { leased } = await claimTasks(direct.db, NOBODY, claimTasksBody.parse({ worker_id: worker.id }));
    const app = express().get("/", (_request, response) => {
      deliverGrant(direct.db, NOBODY, clientGone(response), [leased[0]?.lease.id ?? ""], () =>
        sendJson(response, { tooLong: 1n }),
      );
    });
    await request(app).get("/").expect(500);
    await isBack(task.id);
  });

  it("when whoever asked for a lease has gone away", async () => {
    await isWholeAgain();
    const [task, worker] = await aloneInQueue();
    const unlock = await holdTransaction(direct.db, `select from workers where id = '${worker.id}' for update`);
    const leaving = new AbortController();
    const leasing = fetch(`${url}${TASKS}/${task.id}/lease`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ worker_id: worker.id }),
      signal: leaving.signal,
    });
    await eventually(async () => expect(await waiting()).not.toEqual([]));
    leaving.abort();
    await expect(leasing).rejects.toThrow();
    await unlock();
    await isBack(task.id);
  });
});

describe("when the database answers that it cannot", () => {
  /** Every new task meets this error, as PostgreSQL itself raises it. */
  async function refuseTasks(code: string): Promise<() => Promise<unknown>> {
    await direct.query(`create or replace function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused for a test' using errcode = '${code}'; end $$`);
    await direct.query("create trigger refuse before insert on llm_tasks execute function refuse()");
    return () => direct.query("drop trigger if exists refuse on llm_tasks");
  }

  it.each([
    ["25006", 503, "read-only"],
    ["57014", 503, "took too long"],
    ["55P03", 503, "locked"],
    ["53100", 507, "disk of the database is full"],
    ["53200", 503, "lacks the memory"],
    ["53300", 503, "no more connections"],
    ["58030", 503, "lacks the memory or the disk"],
    ["57P01", 503, "does not answer"],
    ["57P03", 503, "does not answer"],
    ["08006", 503, "does not answer"],
    ["40001", 503, "others are changing"],
    ["40P01", 503, "others are changing"],
  ])("%s is a %i that says so, and never a 500", async (code, status, sentence) => {
    await isWholeAgain();
    const end = await refuseTasks(code);
    const answer = await create().finally(end);
    expect([answer.status, answer.body]).toEqual([status, { error: expect.stringContaining(sentence) }]);
    expect(answer.headers["retry-after"]).toBe(status === 503 ? "2" : undefined);
    expect((await create()).status).toBe(201);
  });

  it("drops every connection to a server that has become read-only, not one after the other", async () => {
    await isWholeAgain();
    await Promise.all(Array.from({ length: 10 }, create));
    const before = (await backends()).map(({ pid }) => pid);
    const end = await refuseTasks("25006");
    await create().finally(end);
    await Promise.all(Array.from({ length: 10 }, create));
    const after = (await backends("client_port <> -1")).map(({ pid }) => pid);
    expect(before.length).toBeGreaterThan(1);
    // Those of `direct`, which has a pool of its own, stay.
    expect(after.filter((pid) => before.includes(pid)).length).toBeLessThan(before.length);
  });

  it("health is degraded and says why while it is read-only, or its disk is full, and connections to a standby are not used", async () => {
    await isWholeAgain();
    const name = new URL(direct.url).pathname.slice(1);
    const disconnect =
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'bloom-runtime'";
    await direct.query(`alter database ${name} set default_transaction_read_only = on`);
    await direct.query(disconnect);
    await eventually(async () => {
      const sick = await health();
      expect([sick.status, sick.body]).toMatchObject([503, { status: "degraded", database: /read-only/ }]);
    });
    expect([(await create()).status, (await api.get(TASKS)).status]).toEqual([503, 503]);
    await direct.query(`set default_transaction_read_only = off`);
    await direct.query(`alter database ${name} reset default_transaction_read_only`);
    await isWholeAgain();

    await direct.query(`create function is_full() returns trigger language plpgsql as
      $$ begin raise exception 'no space left' using errcode = '53100'; end $$`);
    await direct.query("create trigger is_full before update on runtime_settings execute function is_full()");
    const full = await health();
    await direct.query("drop trigger is_full on runtime_settings");
    expect([full.status, full.body]).toMatchObject([503, { database: expect.stringContaining("disk") }]);
    await isWholeAgain();
  });
});
