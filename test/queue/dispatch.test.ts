import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { autoDispatchOnce } from "../../src/queue/auto-dispatch.ts";
import { createDispatcher } from "../../src/queue/dispatch.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { agentsOfApp } from "../support/agents-of-app.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker } from "../support/factories.ts";
import type { NodeAgentOptions } from "../support/node-agent.ts";
import { inDatabase } from "../support/output-storage.ts";
import { startProcess } from "../support/service-process.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const AGENT_KEY = "the-key-of-the-agents";
const database = await createTestDatabase();
const { db, query, url: databaseUrl, makeOverdue } = database;
const outbound = createOutbound();
const app = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY } });
const log = pino({ level: "silent" });
const { anAgent, anAgentThat, dispatch, endOf, resultsOf } = agentsOfApp(app, database, AGENT_KEY);

describe("dispatch", () => {
  it("lets the agent execute the task, which completes by itself, once", async () => {
    const agent = await anAgent({ cli: ({ prompt }) => `answer to ${prompt}` });
    const task = await aTask(db, { prompt: "why?", context_hints: ["h"], policy: { timeout_sec: 60, budget: 1 } });
    const { status, body } = await dispatch(task);
    expect([status, body]).toEqual([
      200,
      {
        dispatched: true,
        task_id: task.id,
        worker_id: agent.name,
        lease_id: expect.any(String),
        execution: { ok: true, started: true },
      },
    ]);
    await endOf(task, "completed");
    expect(await resultsOf(task)).toMatchObject([{ output: "answer to why?", lease_id: body.lease_id }]);
    const asked = agent.requests.find(({ path }) => path === "/execute-task");
    expect(asked?.headers["x-membridge-agent"]).toBe(AGENT_KEY);
    expect(asked?.body).toEqual({
      task_id: task.id,
      prompt: "why?",
      context_id: task.context_id,
      agent_slug: "writer",
      desired_format: "text",
      context_hints: ["h"],
      policy: { timeout_sec: 60, budget: 1 },
      runtime_url: app.url,
    });
  });

  it("answers before the task has ended, and keeps its lease alive while the agent works", async () => {
    let finish = () => {};
    const working = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const agent = await anAgent({ cli: () => working.then(() => "done") });
    const task = await aTask(db);
    expect((await dispatch(task, { worker_id: agent.name, ttl_seconds: 3 })).status).toBe(200);
    const expiry = async () =>
      Number((await query("select expires_at from leases where task_id = $1", [task.id]))[0]?.expires_at);
    const first = await expiry();
    await eventually(async () => expect(await expiry()).toBeGreaterThan(first + 900));
    finish();
    await endOf(task, "completed");
  });

  it("is accepted by an agent that answers at once and completes later: its heartbeats and its completion decide", async () => {
    let finish = () => {};
    const working = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const agent = await anAgent({ generation: "newer", cli: () => working.then(() => "a long story") });
    const task = await aTask(db);
    const { body } = await dispatch(task, { worker_id: agent.name });
    await eventually(() =>
      expect(agent.answers.filter(({ path }) => path.endsWith("heartbeat")).length).toBeGreaterThan(3),
    );
    expect(await getTask(db, task.id)).toMatchObject({ status: "running", lease_id: body.lease_id, attempts: 1 });
    expect(await resultsOf(task)).toEqual([]);
    finish();
    await endOf(task, "completed");
    await eventually(() =>
      expect(agent.answers).toContainEqual(
        expect.objectContaining({ path: `llm-tasks/${task.id}/complete`, status: 200 }),
      ),
    );
    expect(await resultsOf(task)).toMatchObject([{ output: "a long story", incomplete: false }]);
  });

  it.each([
    '{"ok": true}',
    '{"ok": true, "started": true, "output": ""}',
    '{"ok": true, "output": null, "duration_ms": 3}',
  ])("is no success when the agent answers %s: without a completion, the lease brings it back", async (answer) => {
    const mute = await anAgentThat((_request, response) => void response.end(answer));
    const task = await aTask(db);
    const dispatcher = createDispatcher(db, inDatabase, { outbound, agentKey: "" }, log);
    await dispatcher.dispatch(task.id, { worker_id: mute.id, ttl_seconds: 1 }, undefined);
    await dispatcher.stop();
    expect(await getTask(db, task.id)).toMatchObject({ status: "leased", attempts: 1 });
    await eventually(async () => expect(await sweepOnce(db)).toMatchObject({ requeued: 1 }));
    expect(await resultsOf(task)).toEqual([]);
    await query("update llm_tasks set status = 'cancelled' where id = $1", [task.id]);
  });

  it("takes the answer of an agent whose own completion was lost, and marks what was cut off as incomplete", async () => {
    const lines = Array.from({ length: 203 }, (_, n) => `line ${n}`).join("\n");
    const agent = await anAgent({ losesCompletions: true, cli: () => lines });
    const task = await aTask(db);
    await dispatch(task, { worker_id: agent.name });
    await endOf(task, "completed");
    const [result] = await resultsOf(task);
    expect(result).toMatchObject({ status: "success", incomplete: true });
    expect(result.output).toMatch(/^\.\.\. \(3 lines truncated\)\nline 3\n[\s\S]*line 202$/);
    const { body } = await app.api.get(`/api/runtime/artifacts/${result.artifact_id}`);
    expect(body.tags).toEqual(["incomplete"]);
    expect(app.logged).toContainEqual(
      expect.objectContaining({ level: 40, task: task.id, msg: expect.stringContaining("marked as incomplete") }),
    );
  });

  it("completes from the agent's answer when the agent's own completion was lost, once", async () => {
    const withOutput = await anAgentThat((_request, response) => {
      setTimeout(() => response.end(JSON.stringify({ ok: true, output: "from the answer", duration_ms: 7 })), 50);
    });
    const failing = await anAgentThat((_request, response) => {
      response.end(JSON.stringify({ ok: false, error: "no tokens left", duration_ms: 3, returncode: 1 }));
    });
    const [task, failed] = [await aTask(db), await aTask(db)];
    await dispatch(task, { worker_id: withOutput.id });
    await dispatch(failed, { worker_id: failing.id });
    await endOf(task, "completed");
    await endOf(failed, "failed");
    expect(await resultsOf(task)).toMatchObject([{ output: "from the answer", metrics: { duration_ms: 7 } }]);
    expect(await resultsOf(failed)).toMatchObject([{ error_message: "no tokens left" }]);
  });

  it("waits a moment for the completion of an agent whose answer comes before that has arrived", async () => {
    const early = await anAgentThat((_request, response) => {
      response.end(JSON.stringify({ ok: true, output: "its end", duration_ms: 1, returncode: 0 }));
    });
    const task = await aTask(db);
    const patient = createDispatcher(db, inDatabase, { outbound, agentKey: "" }, log);
    onTestFinished(() => patient.stop());
    const { lease_id } = await patient.dispatch(task.id, { worker_id: early.id, ttl_seconds: undefined }, undefined);
    const own = { status: "success", output: "its own", metrics: { duration_ms: 2 } };
    await app.api.post(`/api/runtime/llm-tasks/${task.id}/complete`).send(own).expect(200);
    expect(await resultsOf(task)).toMatchObject([{ output: "its own", lease_id, incomplete: false }]);
  });

  it("keeps an output that cannot be stored as it is", async () => {
    const odd = await anAgentThat((_request, response) => {
      response.end('{"ok": true, "output": "a\\u0000b\\ud800c", "duration_ms": "soon"}');
    });
    const task = await aTask(db);
    await dispatch(task, { worker_id: odd.id });
    await endOf(task, "completed");
    expect(await resultsOf(task)).toMatchObject([{ output: "a\ufffdb\ufffdc" }]);
  });

  it.each<[string, Partial<NodeAgentOptions>, string]>([
    ["has no CLI", { cli: null }, "The agent answered 503"],
    ["wants another key", { agentKey: "another" }, "The agent answered 401"],
  ])(
    "is refused by an agent that %s: 502, and the task is queued with its attempt given back",
    async (_what, options, reason) => {
      const agent = await anAgent(options);
      const task = await aTask(db);
      const { status, body } = await dispatch(task, { worker_id: agent.name });
      expect([status, body]).toEqual([
        502,
        { dispatched: false, task_id: task.id, worker_id: agent.name, error: reason },
      ]);
      expect(await getTask(db, task.id)).toMatchObject({ status: "queued", attempts: 0, lease_id: null });
    },
  );

  it("is refused by an agent that is not there, or redirects; the key does not follow", async () => {
    const gone = await aWorker(db, { url: "http://127.0.0.1:9" });
    const task = await aTask(db);
    expect((await dispatch(task, { worker_id: gone.id })).body.error).toContain("cannot be reached");
    const followed: unknown[] = [];
    const elsewhere = await anAgentThat((request, response) => {
      followed.push(request.headers);
      response.end("{}");
    });
    const redirecting = await anAgentThat((_request, response) => {
      response.writeHead(307, { location: `${elsewhere.url}/execute-task` }).end();
    });
    expect((await dispatch(task, { worker_id: redirecting.id })).status).toBe(502);
    expect(followed).toEqual([]);
  });

  it("is sent to no agent that names another node, with its key or without: 502, and the worker's record says so", async () => {
    const agent = await anAgent({ health: { node_id: undefined, hostname: "orange.lan" } });
    const task = await aTask(db);
    const { status, body } = await dispatch(task, { worker_id: agent.name });
    expect([status, body.error]).toEqual([502, expect.stringContaining('the node "orange.lan" answers')]);
    expect(agent.requests.map(({ path, headers }) => [path, headers["x-membridge-agent"]])).toEqual([
      ["/health", undefined],
    ]);
    expect(await getTask(db, task.id)).toMatchObject({ status: "queued", attempts: 0 });
    const { body: worker } = await app.api.get(`/api/runtime/workers/${agent.name}`);
    expect(worker.answered_by).toBe("orange.lan");
    await app.api.post("/api/runtime/workers").send({ name: agent.name, url: "http://127.0.0.1:9" });
    expect((await app.api.get(`/api/runtime/workers/${agent.name}`)).body.answered_by).toBe(null);
  });

  it("keeps the lease of an agent that never answers alive, and lets go of it at a stop", async () => {
    const silent = await anAgentThat(() => {});
    const stopping = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY } });
    const task = await aTask(db);
    await query("update workers set last_heartbeat = 1 where id = $1", [silent.id]);
    await stopping.dispatcher.dispatch(task.id, { worker_id: silent.id, ttl_seconds: 1 }, stopping.url);
    // Renewed within the grace already, where it would be overdue by now; the open call is no sign that the machine lives.
    expect(await sweepOnce(db)).toMatchObject({ expired: 0 });
    expect(await query("select last_heartbeat::int from workers where id = $1", [silent.id])).toEqual([
      { last_heartbeat: 1 },
    ]);
    await stopping.dispatcher.stop();
    expect(await getTask(db, task.id)).toMatchObject({ status: "leased", attempts: 1 });
  });

  it("ends the call at timeout_sec and a margin, and leaves the task to its lease", async () => {
    let isOpen = false;
    const silent = await anAgentThat((request) => {
      isOpen = true;
      request.socket.once("close", () => {
        isOpen = false;
      });
    });
    const dispatcher = createDispatcher(db, inDatabase, { outbound, agentKey: "", marginMs: 300 }, log);
    const task = await aTask(db, { policy: { timeout_sec: 1.0005 } });
    await dispatcher.dispatch(task.id, { worker_id: silent.id, ttl_seconds: 60 }, undefined);
    expect(isOpen).toBe(true);
    await eventually(() => expect(isOpen).toBe(false));
    await dispatcher.stop();
    expect(await getTask(db, task.id)).toMatchObject({ status: "leased", attempts: 1 });
  });

  it("is recovered by another instance when the one that dispatched it has died", async () => {
    const silent = await anAgentThat(() => {});
    const SETTINGS_KEY = "a secret for tests";
    const env = {
      DATABASE_URL: databaseUrl,
      DATA_DIR: tmpdir(),
      SETTINGS_KEY,
      MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
    };
    const dying = await startProcess({ ...env, SWEEP_INTERVAL_MS: "3600000", WORKER_SYNC_INTERVAL_MS: "3600000" });
    const task = await aTask(db);
    const asked = await fetch(`${dying.url}/api/runtime/llm-tasks/${task.id}/dispatch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ worker_id: silent.id, ttl_seconds: 1 }),
    });
    expect(asked.status).toBe(200);
    expect(await sweepOnce(db)).toMatchObject({ expired: 0 });
    await dying.stop("SIGKILL");
    await eventually(async () => expect(await sweepOnce(db)).toMatchObject({ expired: 1, requeued: 1 }));
    const agent = await anAgent({ cli: () => "at last" });
    expect((await dispatch(task, { worker_id: agent.name })).status).toBe(200);
    await endOf(task, "completed");
    expect(await getTask(db, task.id)).toMatchObject({ attempts: 2 });
  });

  it("leaves a task whose agent dies midway to its lease", async () => {
    let cut = () => {};
    const dying = await anAgentThat((request) => {
      cut = () => request.socket.destroy();
    });
    const task = await aTask(db);
    expect((await dispatch(task, { worker_id: dying.id })).status).toBe(200);
    cut();
    await eventually(() => expect(JSON.stringify(app.logged)).toContain("left to its lease"));
    expect(await getTask(db, task.id)).toMatchObject({ status: "leased", attempts: 1 });
  });

  it("answers for a task that is on its way already with that lease, unless another worker is named: 409", async () => {
    const agent = await anAgentThat(() => {}, { capabilities: { max_concurrency: 2 } });
    const task = await aTask(db);
    const begun = await Promise.all([dispatch(task), dispatch(task)]);
    const [first, second] = begun.map(({ body }) => body).sort((a, b) => (a.already ? 1 : 0) - (b.already ? 1 : 0));
    expect(begun.map(({ status }) => status)).toEqual([200, 200]);
    expect([first.already, second]).toEqual([undefined, { ...first, already: true }]);
    expect((await dispatch(task, { worker_id: agent.id })).body).toEqual(second);
    const other = await anAgent();
    expect((await dispatch(task, { worker_id: other.name })).status).toBe(409);
    expect(await query("select id from leases where task_id = $1", [task.id])).toEqual([{ id: first.lease_id }]);
  });

  it("answers 404, 409, 503, and 400 for a worker without an address", async () => {
    await query("update workers set status = 'offline'");
    const task = await aTask(db);
    expect((await dispatch({ ...task, id: "nobody" })).status).toBe(404);
    expect((await dispatch(task)).status).toBe(503);
    expect((await dispatch(task, { worker_id: "nobody" })).status).toBe(503);
    const mute = await aWorker(db);
    const named = await dispatch(task, { worker_id: mute.id });
    expect([named.status, named.body]).toEqual([400, { error: `Worker "${mute.id}" has no URL configured` }]);
    expect((await dispatch(task)).status).toBe(503);
    await app.api.post(`/api/runtime/llm-tasks/${task.id}/cancel`);
    expect((await dispatch(task, { worker_id: mute.id })).status).toBe(400);
    const agent = await anAgent();
    expect((await dispatch(task, { worker_id: agent.name })).status).toBe(409);
  });
});

describe("a refusal", () => {
  const refusalsOf = async (id: string) => (await query("select refusals from workers where id = $1", [id]))[0];

  it("that comes late gives the attempt back too, and counts", async () => {
    const slow = await anAgentThat((_request, response) => void setTimeout(() => response.writeHead(503).end(), 1_300));
    const task = await aTask(db);
    expect((await dispatch(task, { worker_id: slow.id })).status).toBe(200);
    await endOf(task, "queued");
    expect(await getTask(db, task.id)).toMatchObject({ attempts: 0, lease_id: null });
    await eventually(async () => expect(await refusalsOf(slow.id)).toEqual({ refusals: 1 }));
    await app.api.post(`/api/runtime/llm-tasks/${task.id}/cancel`);
  });

  it("after the agent said that it works is the end of that work", async () => {
    const failing = await anAgentThat(async (_request, response) => {
      await app.api.post(`/api/runtime/llm-tasks/${task.id}/heartbeat`);
      response.writeHead(500).end();
    });
    const task = await aTask(db);
    expect((await dispatch(task, { worker_id: failing.id })).status).toBe(200);
    await endOf(task, "failed");
    expect(await resultsOf(task)).toMatchObject([{ error_message: "The agent answered 500" }]);
    expect(await refusalsOf(failing.id)).toEqual({ refusals: 0 });
  });

  it("is forgotten when the agent has answered, or says that it works, and no sooner", async () => {
    const calls: ServerResponse[] = [];
    const agent = await anAgentThat((_request, response) => void calls.push(response), {
      capabilities: { max_concurrency: 2 },
    });
    const twice = () => query("update workers set refusals = 2 where id = $1", [agent.id]);
    await twice();
    const [first, second] = [await aTask(db), await aTask(db)];
    await dispatch(first, { worker_id: agent.id, ttl_seconds: 60 });
    expect(await refusalsOf(agent.id)).toEqual({ refusals: 2 });
    calls[0]?.end('{"ok": true, "output": "x"}');
    await eventually(async () => expect(await refusalsOf(agent.id)).toEqual({ refusals: 0 }));
    await twice();
    await dispatch(second, { worker_id: agent.id, ttl_seconds: 1 });
    expect(await refusalsOf(agent.id)).toEqual({ refusals: 2 });
    await app.api.post(`/api/runtime/llm-tasks/${second.id}/heartbeat`);
    await eventually(async () => expect(await refusalsOf(agent.id)).toEqual({ refusals: 0 }));
    calls[1]?.end('{"ok": true, "output": "x"}');
    await endOf(second, "completed");
  });

  it("of many that began at the same time counts three times: a minute, not five", async () => {
    const { id } = await anAgentThat((_request, response) => void response.writeHead(503).end(), {
      capabilities: { max_concurrency: 8 },
    });
    const tasks = await Promise.all(Array.from({ length: 8 }, () => aTask(db)));
    expect(await autoDispatchOnce(db, app.dispatcher, app.url, log)).toBe(0);
    const ms = "(paused_until - floor(extract(epoch from now()) * 1000))::int as ms";
    const [row] = await query(`select refusals, ${ms} from workers where id = $1`, [id]);
    expect(row).toEqual({ refusals: 3, ms: expect.toSatisfy((left: number) => left > 50_000 && left <= 60_000) });
    await query("update llm_tasks set status = 'cancelled' where id = any($1)", [tasks.map((task) => task.id)]);
  });
});

describe("an answer", () => {
  it("that comes while the database is away is not lost", async () => {
    const address = new URL(databaseUrl);
    const proxy = await startProxy(address.host);
    address.host = `127.0.0.1:${proxy.port}`;
    const behind = openDatabase({ url: address.href, poolMax: 5, answerWithinMs: 500 }, log);
    const dispatcher = createDispatcher(behind.db, inDatabase, { outbound, agentKey: "" }, log);
    onTestFinished(() => dispatcher.stop().then(behind.close).then(proxy.close));
    const calls: ServerResponse[] = [];
    const agent = await anAgentThat((_request, response) => void calls.push(response));
    const [kept, late] = [await aTask(db), await aTask(db, { max_attempts: 1 })];
    for (const task of [kept, late])
      await dispatcher.dispatch(task.id, { worker_id: agent.id, ttl_seconds: 60 }, undefined);
    await proxy.refuse();
    const isSent = calls.map((response) => once(response, "finish"));
    for (const response of calls) response.end('{"ok": true, "output": "dear"}');
    await Promise.all(isSent);
    // One of the leases is swept meanwhile: no instance of this test is the only one.
    await makeOverdue(late.id);
    await sweepOnce(db);
    expect([(await getTask(db, kept.id)).status, (await getTask(db, late.id)).status]).toEqual(["leased", "dead"]);
    await proxy.accept();
    await endOf(kept, "completed");
    expect(await resultsOf(kept)).toMatchObject([{ output: "dear" }]);
    // Paid for, and kept beside a task that has gone on.
    await eventually(async () => expect(await resultsOf(late)).toMatchObject([{ output: "dear", accepted: false }]));
  });
});
afterAll(() => app.dispatcher.stop());
afterAll(() => outbound.destroy());
