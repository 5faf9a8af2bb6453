/** Calls that need several things one after the other, each of which may be waited for. One time holds for a call as a whole. */
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { faultOf } from "../../src/db/faults.ts";
import { schemaFault } from "../../src/output-schema/check.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, aTask } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { slowSchema } from "../support/slow-schema.ts";

const { db, url, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const task = { context_id: "c", agent_slug: "a", prompt: "p" };

/*
 * The waits of 6 and 8 s below are what the first two tests are about: the time for which a call waits for its place. Nothing happens meanwhile that
 * could be awaited, and PostgreSQL measures its own part of the call's time.
 */

/** A service with as many connections as it has by itself, and with all places taken of those calls that may wait for rows. */
async function startFull() {
  const { db: small, close } = openDatabase({ url, poolMax: 6 }, pino({ level: "silent" }));
  onTestFinished(close);
  const { api: service } = await startApp(small);
  const takeAll = async () => {
    const held = await Promise.all(Array.from({ length: 3 }, () => holdTransaction(small, "select 1")));
    return async () => void (await Promise.all(held.map((leave) => leave())));
  };
  return { service, takeAll };
}

async function timed<Answer>(work: PromiseLike<Answer>) {
  const since = performance.now();
  return { answer: await work, ms: performance.now() - since };
}

it("a call that has waited for its place has so much less time for what is locked", { timeout: 40_000 }, async () => {
  const { service, takeAll } = await startFull();
  const held = await aLeasedTask(db);
  await holdTransaction(db, `select from llm_tasks where id = '${held.task.id}' for no key update`);
  const leave = await takeAll();
  const beat = timed(service.post(`${TASKS}/${held.task.id}/heartbeat`).send({ lease_id: held.lease.id }).expect(503));
  await delay(6_000);
  await leave();
  // 8 s, and up to 2 s for the server to take the statement back.
  expect((await beat).ms).toBeLessThan(11_000);
});

it("a change of many tasks is answered in 20 s, however often it has to wait", { timeout: 60_000 }, async () => {
  const { service, takeAll } = await startFull();
  const { id } = await aTask(db, { context_id: "locked" });
  await holdTransaction(db, `select from llm_tasks where id = '${id}' for no key update`);
  const filter = { context_id: "locked" };
  let leave = await takeAll();
  const call = timed(service.post(`${TASKS}/cancel`).send({ filter }).expect(503));
  await delay(8_000);
  await leave();
  await eventually(async () =>
    expect(await query("select from audit_logs where action = 'tasks_cancelled'")).toHaveLength(1),
  );
  leave = await takeAll();
  await delay(8_000);
  await leave();
  // It waits for the task until its time is over, and the server has up to 2 s to take the statement back.
  expect((await call).ms).toBeLessThan(22_500);
});

it("what a call has running when its time is over is cancelled on the server, and no more is sent", async () => {
  const { id } = await aTask(db);
  await holdTransaction(db, `select from llm_tasks where id = '${id}' for update`);
  const inTime = db.endingAt(performance.now() + 1_500);
  const change = () => inTime.execute(sql`update llm_tasks set priority = 1 where id = ${id}`);
  const { answer, ms } = await timed(change().catch(faultOf));
  expect(answer).toMatchObject({ status: 503, drops: "none" });
  expect(ms).toBeLessThan(4_000);
  expect(
    await query("select from pg_stat_activity where state = 'active' and query like 'update llm_tasks set pri%'"),
  ).toEqual([]);
  const again = await timed(inTime.transaction(change).catch(faultOf));
  expect(again.answer).toEqual(answer);
  expect(again.ms).toBeLessThan(500);
});

it("a bulk has all of its schemas checked, however many there are", async () => {
  const tasks = Array.from({ length: 100 }, (_, maxLength) => ({
    ...task,
    output_schema: { type: "string", maxLength },
  }));
  const { body } = await api.post(`${TASKS}/bulk`).send({ tasks }).expect(200);
  expect(body).toMatchObject({ created: 100, refused: 0 });
});

it("a replay that meets too many checks of schemas says what it has made, and goes on when called again", async () => {
  for (const output_schema of [undefined, { type: "string" }])
    await aTask(db, { context_id: "checked", output_schema });
  const replay = () => api.post(`${TASKS}/replay`).send({ filter: { context_id: "checked" }, idempotency_key: "k" });
  const checks = Array.from({ length: 20 }, (_, n) => schemaFault(n < 3 ? slowSchema(n) : {}, { of: "" }));
  expect((await replay().expect(200)).body).toMatchObject({ matched: 2, changed: 1, refused: 0, more: true });
  await Promise.all(checks);
  expect((await replay().expect(200)).body).toMatchObject({ matched: 1, changed: 1, more: false });
});
