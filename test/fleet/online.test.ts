import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import type { Task } from "../../src/contract/record-types.ts";
import { getWorker } from "../../src/fleet/workers.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { startApp } from "../support/app.ts";
import { entriesOf } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, completion, leaseTo } from "../support/factories.ts";
import { membridgeOfDatabase } from "../support/membridge-of-database.ts";
import { startNodeAgent } from "../support/node-agent.ts";
import { inDatabase } from "../support/output-storage.ts";
import { anAgent, type Fault, secondsAgo } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const { fake, sync: pass } = await membridgeOfDatabase(db);
const app = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url } });
beforeEach(async () => {
  fake.reset();
  await query("truncate workers, leases, llm_tasks, audit_logs");
});

const statusOf = async (id: string) => (await getWorker(db, id)).status;
/** Puts the worker's last sign of life that far into the past. */
const silentFor = (id: string, seconds: number) =>
  query("update workers set last_heartbeat = floor(extract(epoch from now()) * 1000) - $2 * 1000 where id = $1", [
    id,
    seconds,
  ]);
/** A worker that said nothing for so long that a pass has marked it offline. */
async function anOfflineWorker(id: string) {
  await silentFor(id, 61);
  await pass();
  expect(await statusOf(id)).toBe("offline");
}

describe("a worker without a sign of life", () => {
  it("is offline after 60 s, which is audited once, however many passes there are", async () => {
    const { id } = await aWorker(db);
    await silentFor(id, 61);
    const passes = [...(await Promise.all([pass(), pass(), pass()])), await pass()];
    expect(passes.reduce((sum, { offline }) => sum + offline, 0)).toBe(1);
    expect(await statusOf(id)).toBe("offline");
    const detail = `Worker ${id} was online and gave no sign of life for 60 s`;
    expect(await entriesOf(query, id, "worker_offline")).toEqual([{ actor: "runtime", detail }]);
  });

  it("is online until then", async () => {
    const { id } = await aWorker(db);
    await silentFor(id, 55);
    expect((await pass()).offline).toBe(0);
    expect(await statusOf(id)).toBe("online");
  });

  it.each(["syncing", "error"])("is offline too when it was %s", async (status) => {
    const { id } = await aWorker(db, { status });
    await anOfflineWorker(id);
  });

  it("gets no work while it is offline", async () => {
    const { id } = await aWorker(db);
    await anOfflineWorker(id);
    const task = await aTask(db);
    await expect(leaseTo(db, task.id)).rejects.toThrow("No available worker with free capacity");
  });
});

describe("a worker that is offline is online again, which is audited once,", () => {
  const says: [string, (task: Task) => Promise<unknown>][] = [
    ["heartbeat", (task) => heartbeat(db, NOBODY, task.id).then(() => heartbeat(db, NOBODY, task.id))],
    ["completion", (task) => completeTask(db, NOBODY, inDatabase, task.id, completion())],
  ];

  it.each(says)("after a %s of one of its tasks", async (_name, say) => {
    const { task, worker } = await aLeasedTask(db);
    await anOfflineWorker(worker.id);
    await say(task);
    expect(await statusOf(worker.id)).toBe("online");
    expect(await entriesOf(query, worker.id, "worker_online")).toHaveLength(1);
  });

  it.each(says)("and where that cannot be written down, the %s is answered all the same", async (_name, say) => {
    const { task, worker } = await aLeasedTask(db);
    await anOfflineWorker(worker.id);
    await query("alter table workers add constraint unwritable check (status = 'offline') not valid");
    try {
      await say(task);
    } finally {
      await query("alter table workers drop constraint unwritable");
    }
    expect(await statusOf(worker.id)).toBe("offline");
    expect((await getTask(db, task.id)).status).toMatch(/^(running|completed)$/);
  });

  it("when Membridge saw it just now", async () => {
    const { id } = await aWorker(db);
    await anOfflineWorker(id);
    fake.agents = [anAgent(id, { last_seen: secondsAgo(1) })];
    await Promise.all([pass(), pass(), pass()]);
    expect(await statusOf(id)).toBe("online");
    expect(await entriesOf(query, id, "worker_online")).toHaveLength(1);
  });

  it("when it registers again", async () => {
    const { id } = await aWorker(db);
    await anOfflineWorker(id);
    await aWorker(db, { name: id });
    expect(await statusOf(id)).toBe("online");
    const [entry, ...others] = await entriesOf(query, id, "worker_updated");
    expect(entry?.detail).toBe(`Worker ${id} registered, status=online, max_concurrency=1`);
    expect(others).toEqual([]);
  });
});

describe("what Membridge says", () => {
  it("leaves an agent unknown that nobody has seen, and it gets no work", async () => {
    fake.agents = [anAgent("fresh")];
    await pass();
    await pass();
    expect(await statusOf("fresh")).toBe("unknown");
    const task = await aTask(db);
    await expect(leaseTo(db, task.id)).rejects.toThrow("No available worker with free capacity");

    await leaseTo(db, task.id, "fresh");
    await heartbeat(db, NOBODY, task.id);
    expect(await statusOf("fresh")).toBe("online");
    expect(await entriesOf(query, "fresh", "worker_online")).toHaveLength(1);
  });

  it.each([
    ["unknown, last seen never", { status: "unknown", last_seen: null }],
    ["online, last seen never", { status: "online", last_seen: null }],
    ["online, last seen 90 s ago", { status: "online", last_seen: secondsAgo(90) }],
  ])("is no sign of life when it is: %s", async (_name, fields) => {
    const { id } = await aWorker(db);
    await anOfflineWorker(id);
    fake.agents = [anAgent(id, fields)];
    await pass();
    expect(await statusOf(id)).toBe("offline");
  });

  it("takes nothing from a worker that shows signs of life elsewhere", async () => {
    const { id } = await aWorker(db);
    fake.agents = [anAgent(id, { status: "offline", last_seen: secondsAgo(500) })];
    await pass();
    expect(await statusOf(id)).toBe("online");
  });

  it.each<[string, Fault]>([
    ["is cut off", "cut"],
    ["refuses the key", { status: 401, json: { detail: "Unauthorized" } }],
    ["is broken", { status: 500, html: "<h1>Internal Server Error</h1>" }],
    ["answers a page", { status: 200, html: "<h1>hello</h1>" }],
    ["gives no list", { status: 200, json: { agents: [] } }],
    ["lists nobody", { status: 200, json: [] }],
  ])("changes nothing when Membridge %s", async (_name, fault) => {
    fake.agents = [anAgent("seen", { last_seen: secondsAgo(1) }), anAgent("fresh")];
    await pass();
    await aWorker(db, { name: "registered" });
    const workers = () => query("select xmin::text, workers from workers order by id");
    const before = await workers();
    fake.fail("*", fault);
    expect(await pass()).toEqual({ added: 0, changed: 0, offline: 0 });
    expect(await workers()).toEqual(before);
  });
});

describe("a node agent that registers itself once, and that Membridge does not list", () => {
  it("is online again when it executes: one heartbeat, and a completion without a count of tokens", async () => {
    const agent = await startNodeAgent({ runtime: app.url, name: "rpi", registration: { url: "" } });
    onTestFinished(agent.close);
    await anOfflineWorker("rpi");
    const task = await aTask(db);
    await leaseTo(db, task.id, "rpi");
    const body = JSON.stringify({ task_id: task.id, prompt: task.prompt });
    const executed = await fetch(`${agent.url}/execute-task`, { method: "POST", body });
    expect(await executed.json()).toMatchObject({ ok: true, task_id: task.id });
    expect(agent.answers.map(({ status }) => status)).toEqual([201, 200, 200]);
    expect(await statusOf("rpi")).toBe("online");
  });
});
