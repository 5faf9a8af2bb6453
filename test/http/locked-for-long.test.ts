/** Something that another session has locked for longer than a statement may take. */
import { setTimeout as delay } from "node:timers/promises";
import { eq } from "drizzle-orm";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { faultOf } from "../../src/db/faults.ts";
import { workers } from "../../src/db/fleet-tables.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, url, query } = await createTestDatabase();
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

async function timedReading(path: string, of: typeof api) {
  const since = performance.now();
  const { status, body: answer } = await of.get(`/api/runtime/${path}`);
  return { status, answer, ms: performance.now() - since };
}

/** Resolves when `count` connections at least wait for what is locked. */
const waiting = (count: number) =>
  eventually(async () => {
    const locked = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    expect((await query(locked)).length).toBeGreaterThanOrEqual(count);
  });

/** A service with as many connections as it has by itself. */
async function startSmall() {
  const { db: small, close } = openDatabase({ url, poolMax: 6 }, pino({ level: "silent" }));
  onTestFinished(close);
  return (await startApp(small)).api;
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
  const service = await startSmall();
  const held = await Promise.all(Array.from({ length: 6 }, () => aLeasedTask(db)));
  const beating = await Promise.all(Array.from({ length: 6 }, () => aLeasedTask(db)));
  const other = await aLeasedTask(db, { worker: { capabilities: { max_concurrency: 32 } } });
  const inList = (ids: string[]) => ids.map((id) => `'${id}'`).join(", ");
  // The next heartbeat of each is worth writing.
  await query("update workers set last_heartbeat = 1");
  await holdTransaction(
    db,
    `select from llm_tasks where id in (${inList(held.map(({ task }) => task.id))}) for update`,
  );
  const away = inList(beating.map(({ worker }) => worker.id));
  const unlock = await holdTransaction(db, `select from workers where id in (${away}) for update`);

  let isOver = false;
  const beat = ({ task, lease }: typeof other) => timed(`${task.id}/heartbeat`, { lease_id: lease.id }, service);
  const waiting = held.flatMap((each) => [
    beat(each),
    timed(`${each.task.id}/cancel`, {}, service),
    timed(`${each.task.id}/requeue`, {}, service),
  ]);
  const refused = Promise.all(waiting).finally(() => {
    isOver = true;
  });
  const others = await Promise.all(beating.map(beat));
  const claim = { worker_id: other.worker.id };
  for (let round = 0; round < 8; round++) {
    others.push(
      await beat(other),
      await timed("", { context_id: "c", agent_slug: "a", prompt: "p" }, service),
      await timed("claim", claim, service),
      await timed("claim", { ...claim, max_tasks: 2 }, service),
      await timed("claim", { ...claim, agent_slugs: ["a"] }, service),
    );
    others.push(await timedReading("health", service));
  }
  expect(isOver).toBe(false);
  for (const { status, ms } of others) {
    expect([200, 201, 204]).toContain(status);
    expect(ms).toBeLessThan(ORDINARY_MS);
  }
  const { text } = await service.get("/metrics");
  expect(Number(/^bloom_db_pool_waiting (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(5);
  await unlock();
  for (const { status } of await refused) expect([200, 409, 503]).toContain(status);
});

it("leaves a connection to reads while a whole table is locked", { timeout: 60_000 }, async () => {
  const service = await startSmall();
  const held = await Promise.all(Array.from({ length: 4 }, () => aLeasedTask(db)));
  const unlock = await holdTransaction(db, "lock table llm_tasks in share mode");
  let isOver = false;
  const changes = Promise.all(
    held.flatMap(({ task, lease, worker }) => [
      timed("", { context_id: "c", agent_slug: "a", prompt: "p" }, service),
      timed("claim", { worker_id: worker.id }, service),
      timed(`${task.id}/heartbeat`, { lease_id: lease.id }, service),
      timed(`${task.id}/cancel`, {}, service),
    ]),
  ).finally(() => {
    isOver = true;
  });
  // All but two connections, which are kept from changes.
  await waiting(4);
  for (const path of ["llm-tasks", "leases", "health", "keys"]) {
    const { status, ms } = await timedReading(path, service);
    expect([path, status]).toEqual([path, 200]);
    expect(ms).toBeLessThan(ORDINARY_MS);
  }
  expect(isOver).toBe(false);
  await unlock();
  for (const { status } of await changes) expect([200, 201, 204, 409, 503]).toContain(status);
});

it("leaves a connection to calls that need no tasks while nobody can even read these", {
  timeout: 60_000,
}, async () => {
  const service = await startSmall();
  const unlock = await holdTransaction(db, "lock table llm_tasks in access exclusive mode");
  let isOver = false;
  const calls = Promise.all(
    Array.from({ length: 12 }, () => [
      timedReading("llm-tasks", service),
      timed("", { context_id: "c", agent_slug: "a", prompt: "p" }, service),
      timed("claim", { worker_id: "free" }, service),
    ]).flat(),
  ).finally(() => {
    isOver = true;
  });
  // All but one connection, which is kept from what uses tasks.
  await waiting(5);
  for (const path of ["keys", "webhooks", "config", "health", "audit"]) {
    const { status, ms } = await timedReading(path, service);
    expect([path, status]).toEqual([path, 200]);
    expect(ms).toBeLessThan(ORDINARY_MS);
  }
  expect(isOver).toBe(false);
  await unlock();
  for (const { status } of await calls) expect([200, 201, 204, 503]).toContain(status);
});

it("does not keep those who ask how the service is", async () => {
  const unlock = await holdTransaction(db, "lock table runtime_settings in access exclusive mode");
  const { status, answer, ms } = await timedReading("health", api);
  expect([status, answer.database]).toEqual([503, "The database has not answered for 2 s."]);
  expect(ms).toBeLessThan(ORDINARY_MS);
  await unlock();
  await eventually(async () => expect((await timedReading("health", api)).status).toBe(200));
});

it("is a fault of the database, and none of the service, where nothing could be sent for it", {
  timeout: 60_000,
}, async () => {
  const { db: narrow, close } = openDatabase({ url, poolMax: 1, answerWithinMs: 50_000 }, pino({ level: "silent" }));
  onTestFinished(close);
  const { id } = await aWorker(db);
  const unlock = await holdTransaction(db, `select from workers where id = '${id}' for update`);
  const change = () => narrow.update(workers).set({ fast_failures: 1 }).where(eq(workers.id, id));
  const first = change().execute();
  const refusal = await change()
    .execute()
    .catch((error: unknown) => faultOf(error));
  expect(refusal).toMatchObject({ status: 503, drops: "none", sentence: expect.stringContaining("locked") });
  await unlock();
  await first;
});
