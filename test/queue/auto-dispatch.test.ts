import { pino } from "pino";
import { afterAll, describe, expect, it } from "vitest";
import { autoDispatchOnce } from "../../src/queue/auto-dispatch.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { agentsOfApp } from "../support/agents-of-app.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";

const AGENT_KEY = "the-key-of-the-agents";
const database = await createTestDatabase();
const { db, query } = database;
const app = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY } });
const log = pino({ level: "silent" });
const { anAgent, anAgentThat, endOf, resultsOf } = agentsOfApp(app, database, AGENT_KEY);

describe("auto dispatch", () => {
  const pass = () => autoDispatchOnce(db, app.dispatcher, app.url, log);

  it("brings queued tasks to agents with room, without doing one twice in several instances", async () => {
    await query("update llm_tasks set status = 'cancelled' where status = 'queued'");
    const agent = await anAgent({ cli: ({ prompt }) => prompt });
    const other = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY } });
    const tasks = await Promise.all(Array.from({ length: 6 }, () => aTask(db)));
    const ids = tasks.map(({ id }) => id);
    const left = () => query("select id from llm_tasks where status <> 'completed' and id = any($1)", [ids]);
    await eventually(async () => {
      await Promise.all([pass(), autoDispatchOnce(db, other.dispatcher, other.url, log)]);
      expect(await left()).toEqual([]);
    });
    expect(agent.requests.filter(({ path }) => path === "/execute-task")).toHaveLength(6);
    for (const task of tasks) expect(await resultsOf(task)).toHaveLength(1);
  });

  it("is not held up by tasks that nobody can take, and sends no address where there is none to send", async () => {
    await query("update llm_tasks set status = 'cancelled' where status = 'queued'");
    const blocked = await Promise.all(Array.from({ length: 60 }, () => aTask(db, { requires: ["nobody has it"] })));
    const kept = await Promise.all(Array.from({ length: 3 }, () => aTask(db)));
    await query("update llm_tasks set allow_fallback = false, tried_by = 'away' where id = any($1)", [
      kept.map(({ id }) => id),
    ]);
    const task = await aTask(db);
    const agent = await anAgent();
    expect(await autoDispatchOnce(db, app.dispatcher, undefined, log)).toBe(1);
    await endOf(task, "completed");
    const asked = agent.requests.find(({ path }) => path === "/execute-task");
    expect(asked?.body).not.toHaveProperty("runtime_url");
    expect(await pass()).toBe(0);
    await query("update llm_tasks set status = 'cancelled' where id = any($1)", [
      [...blocked, ...kept].map(({ id }) => id),
    ]);
  });

  it("fills each kind of worker, whatever the others have no room for", async () => {
    const gpu = { requires: ["gpu"] };
    // The tasks are made one after another, so that it is known which is the oldest.
    const oldest = await aTask(db, gpu);
    const first = [oldest, await aTask(db, gpu), await aTask(db, gpu)];
    const plain = await aTask(db);
    await anAgentThat(() => {}, { capabilities: { labels: ["gpu"] } });
    await anAgentThat(() => {});
    expect(await pass()).toBe(2);
    const held = await query("select id from llm_tasks where status = 'leased' and id = any($1)", [
      [...first, plain].map(({ id }) => id),
    ]);
    expect(held.map(({ id }) => id).sort()).toEqual([oldest.id, plain.id].sort());
    await query("update llm_tasks set status = 'cancelled' where status = 'queued'");
  });

  it("leaves a worker alone that refused three times in a row: a minute, then twice as long, up to five", async () => {
    const agent = await anAgent({ cli: null });
    const task = await aTask(db);
    const pause = async () => {
      const [row] = await query(
        "select (paused_until - floor(extract(epoch from now()) * 1000))::int as ms from workers where id = $1",
        [agent.name],
      );
      return row?.ms === null ? null : Math.round(row?.ms / 10_000) * 10;
    };
    for (const expected of [null, null, 60, 120, 240, 300, 300]) {
      await query("update workers set paused_until = null where id = $1", [agent.name]);
      expect(await pass()).toBe(0);
      expect(await pause()).toBe(expected);
    }
    const calls = agent.requests.length;
    await pass();
    expect(agent.requests.length).toBe(calls);
    expect(await getTask(db, task.id)).toMatchObject({ status: "queued", attempts: 0 });
  });
});

afterAll(() => app.dispatcher.stop());
