/** Something that another session has locked for longer than a statement may take. */
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, url } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

/** The calls that wait for it are refused by then: 8 s for the lock, and up to 2 s for the server to take the statement back. */
const REFUSED_WITHIN_MS = 11_000;
/** Calls that need nothing locked are answered by then, on a busy machine too. */
const ORDINARY_MS = 3_000;

/** The call's status and body, and how long it took. */
async function timed(path: string, body: object, of = api) {
  const since = performance.now();
  const { status, body: answer } = await of.post(`${TASKS}/${path}`).send(body);
  return { status, answer, ms: performance.now() - since };
}

it("is refused to those who need it, after what a statement may take, and others are answered meanwhile", {
  timeout: 60_000,
}, async () => {
  const held = await aLeasedTask(db, { worker: { name: "locked-task" } });
  const other = await aLeasedTask(db, { worker: { name: "other-task" } });
  for (let n = 0; n < 6; n++) await aWorker(db, { name: `locked-${n}` });
  await aWorker(db, { name: "free", capabilities: { max_concurrency: 32 } });
  for (let n = 0; n < 40; n++) await aTask(db);
  await holdTransaction(db, "select from workers where id like 'locked-%' and id <> 'locked-task' for no key update");
  await holdTransaction(db, `select from llm_tasks where id = '${held.task.id}' for no key update`);

  let isOver = false;
  const beats = Array.from({ length: 4 }, () => timed(`${held.task.id}/heartbeat`, { lease_id: held.lease.id }));
  const claims = Array.from({ length: 4 }, (_, n) => timed("claim", { worker_id: `locked-${n}` }));
  const refused = Promise.all([...beats, ...claims]).finally(() => {
    isOver = true;
  });
  const ordinary = [];
  while (!isOver) {
    ordinary.push(await timed("claim", { worker_id: "free" }));
    ordinary.push(await timed(`${other.task.id}/heartbeat`, { lease_id: other.lease.id }));
    await delay(400);
  }
  for (const { status, answer, ms } of await refused) {
    expect([status, answer]).toEqual([503, { error: expect.stringContaining("gave the statement up") }]);
    expect(ms).toBeLessThan(REFUSED_WITHIN_MS);
  }
  expect(ordinary.length).toBeGreaterThan(4);
  for (const { status, ms } of ordinary) {
    expect(status).toBe(200);
    expect(ms).toBeLessThan(ORDINARY_MS);
  }
});

it("leaves connections to others, however many calls of however many kinds wait for it", {
  timeout: 60_000,
}, async () => {
  const small = openDatabase({ url, poolMax: 6 }, pino({ level: "silent" }));
  onTestFinished(() => small.close());
  const { api: service } = await startApp(small.db);
  const held = await Promise.all(Array.from({ length: 6 }, () => aLeasedTask(db)));
  const other = await aLeasedTask(db);
  const ids = held.map(({ task }) => `'${task.id}'`).join(", ");
  const unlock = await holdTransaction(db, `select from llm_tasks where id in (${ids}) for no key update`);

  let isOver = false;
  const waiting = held.flatMap(({ task, lease }) => [
    timed(`${task.id}/heartbeat`, { lease_id: lease.id }, service),
    timed(`${task.id}/cancel`, {}, service),
    timed(`${task.id}/requeue`, {}, service),
  ]);
  const refused = Promise.all(waiting).finally(() => {
    isOver = true;
  });
  const others = [];
  while (!isOver && others.length < 40) {
    others.push(await timed(`${other.task.id}/heartbeat`, { lease_id: other.lease.id }, service));
    others.push(await timed("", { context_id: "c", agent_slug: "a", prompt: "p" }, service));
    await delay(200);
  }
  expect(others.length).toBe(40);
  for (const { status, ms } of others) {
    expect([200, 201]).toContain(status);
    expect(ms).toBeLessThan(ORDINARY_MS);
  }
  await unlock();
  for (const { status } of await refused) expect([200, 409, 503]).toContain(status);
});
