import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { probeOnce } from "../../src/fleet/probe-agents.ts";
import { agentsOfApp } from "../support/agents-of-app.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";

const AGENT_KEY = "the-key-of-the-agents";
const database = await createTestDatabase();
const { db, query } = database;
const outbound = createOutbound();
const app = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY } });
const log = pino({ level: "silent" });
const { anAgent, anAgentThat, dispatch } = agentsOfApp(app, database, AGENT_KEY);

const HEALTH = { answersHealth: true };

describe("a health probe", () => {
  it("finds an agent alive that gave no other sign, and refreshes what it says of itself", async () => {
    const agent = await anAgent({ registration: { agent_version: "0.3.9", os_info: "old" } });
    await query("update workers set status = 'offline', last_heartbeat = 1 where id = $1", [agent.name]);
    expect(await probeOnce(db, outbound, log)).toBe(1);
    const { body } = await app.api.get(`/api/runtime/workers/${agent.name}`);
    expect(body).toMatchObject({ status: "online", agent_version: "0.4.0", os_info: "Linux 6.1.0 x86_64" });
    expect(await probeOnce(db, outbound, log)).toBe(0);
  });

  it("takes an agent that is degraded for alive, and one that says error for not", async () => {
    for (const [status, expected] of [
      ["degraded", "online"],
      ["error", "offline"],
    ]) {
      const agent = await anAgent({ health: { status } });
      await query("update workers set status = 'offline', last_heartbeat = 1 where id = $1", [agent.name]);
      await probeOnce(db, outbound, log);
      expect([status, (await app.api.get(`/api/runtime/workers/${agent.name}`)).body.status]).toEqual([
        status,
        expected,
      ]);
      await query("delete from workers where id = $1", [agent.name]);
    }
  });

  it("refreshes what the agent can do, and takes none of the room and labels that it registered with", async () => {
    const health = { claude_cli_available: false, capabilities: { max_concurrency: 1, labels: ["fast"] } };
    const agent = await anAgent({ generation: "newer", health });
    const capabilities = async () => (await app.api.get(`/api/runtime/workers/${agent.name}`)).body.capabilities;
    await query("update workers set last_heartbeat = 1 where id = $1", [agent.name]);
    expect(await probeOnce(db, outbound, log)).toBe(1);
    const labels = ["systemd", "x86_64", "fast"];
    expect(await capabilities()).toEqual({ claude_cli: false, max_concurrency: 2, labels });
    Object.assign(health, { claude_cli_available: true, capabilities: { max_concurrency: 4 } });
    await query("update workers set last_heartbeat = 1 where id = $1", [agent.name]);
    await probeOnce(db, outbound, log);
    expect(await capabilities()).toEqual({ claude_cli: true, max_concurrency: 4, labels });
  });

  it("of an address at which another node answers is no sign of life, is written down, and ends when its own answers", async () => {
    const health = { node_id: "orange" };
    const agent = await anAgent({ health });
    const record = async () => (await app.api.get(`/api/runtime/workers/${agent.name}`)).body;
    await query("update workers set status = 'offline', last_heartbeat = 1 where id = $1", [agent.name]);
    expect(await probeOnce(db, outbound, log)).toBe(0);
    expect(await probeOnce(db, outbound, log)).toBe(0);
    expect(await record()).toMatchObject({ status: "offline", answered_by: "orange" });
    await query("update workers set status = 'online', last_heartbeat = 9e12 where id = $1", [agent.name]);
    const task = await aTask(db);
    expect((await dispatch(task)).status).toBe(503);
    const { body } = await app.api.get(`/api/runtime/llm-tasks/${task.id}/explain`);
    const why = body.workers.find(({ worker_id }: { worker_id: string }) => worker_id === agent.name);
    expect(why.reasons).toEqual(['has an address at which the node "orange" answers, so that its agent is not called']);
    Object.assign(health, { node_id: agent.name.toUpperCase() });
    expect(await probeOnce(db, outbound, log)).toBe(1);
    expect(await record()).toMatchObject({ answered_by: null });
    expect((await dispatch(task)).status).toBe(200);
    const entries = await query(
      "select detail from audit_logs where entity_id = $1 and action = 'worker_updated' order by id",
      [agent.name],
    );
    expect(entries.map(({ detail }) => detail)).toEqual([
      expect.stringContaining('answers the node "orange"'),
      expect.stringContaining("answers its own agent again"),
    ]);
    await query("update workers set last_heartbeat = 1 where id = $1", [agent.name]);
  });

  it("takes no redirect, error or nonsense for life", async () => {
    for (const answer of ["redirect", "error", "nonsense"] as const) {
      const { id } = await anAgentThat(
        (_request, response) => {
          if (answer === "redirect") response.writeHead(302, { location: "http://127.0.0.1:9" });
          if (answer === "error") response.writeHead(500);
          response.end(answer === "nonsense" ? '{"status": 1}' : '{"status": "ok"}');
        },
        {},
        HEALTH,
      );
      await query("update workers set status = 'offline', last_heartbeat = 1 where id = $1", [id]);
      await probeOnce(db, outbound, log);
      expect([answer, (await app.api.get(`/api/runtime/workers/${id}`)).body.status]).toEqual([answer, "offline"]);
    }
  });
});

describe("health probes", () => {
  it("give up on an agent that never answers after 3 s, and on one that answers without end", async () => {
    const silent = await anAgentThat(() => {}, {}, HEALTH);
    let isOpen = false;
    const endless = await anAgentThat(
      (_request, response) => {
        isOpen = true;
        response.once("close", () => {
          isOpen = false;
        });
        const more = () => void (response.destroyed || response.write('{"status": "ok"}'.padEnd(16_384), more));
        more();
      },
      {},
      HEALTH,
    );
    await query("update workers set status = 'offline', last_heartbeat = 1 where id = any($1)", [
      [silent.id, endless.id],
    ]);
    const startedAt = performance.now();
    expect(await probeOnce(db, outbound, log)).toBe(0);
    // Two agents asked one after the other would take 6 s.
    expect(performance.now() - startedAt).toBeLessThan(5_800);
    await eventually(() => expect(isOpen).toBe(false));
  });

  it("reach whoever is about to go offline before 300 that are gone, and one that is back after a while", async () => {
    const gone = Array.from({ length: 300 }, (_, n) => `gone-${n}`);
    await query(
      `insert into workers (id, node_id, url, status, capabilities, last_heartbeat, registered_at)
       select id, id, 'http://127.0.0.1:9', 'offline', '{"claude_cli": true, "max_concurrency": 1, "labels": []}', 0, 0
       from unnest($1::text[]) as id`,
      [gone],
    );
    onTestFinished(async () => void (await query("delete from workers where id = any($1)", [gone])));
    const [online, back] = [await anAgent(), await anAgent()];
    await query("update workers set last_heartbeat = 1 where id = $1", [online.name]);
    await query("update workers set status = 'offline', last_heartbeat = 1 where id = $1", [back.name]);
    await probeOnce(db, outbound, log);
    expect(online.requests.map(({ path }) => path)).toContain("/health");
    await eventually(async () => {
      await probeOnce(db, outbound, log);
      expect(back.requests.map(({ path }) => path)).toContain("/health");
    });
  });
});
afterAll(() => app.dispatcher.stop());
afterAll(() => outbound.destroy());
