import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { syncOnce } from "../../src/fleet/membridge-sync.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { KEY_HEADER, MAIN_KEY } from "../support/keys.ts";
import { startNodeAgent } from "../support/node-agent.ts";
import { anAgent as listed, startMembridge } from "../support/scripted-membridge.ts";

const AGENT_KEY = "the-key-of-the-agents";
const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
const env = {
  MEMBRIDGE_SERVER_URL: membridge.url,
  MEMBRIDGE_AGENT_KEY: AGENT_KEY,
  TRUST_PROXY_HOPS: "1",
  RUNTIME_API_KEY: MAIN_KEY,
};
const app = await startApp(db, { env });
const fenced = await startApp(db, { env: { ...env, OUTBOUND_ALLOW: "10.0.0.0/8, 127.0.0.0/8" } });
const WORKERS = "/api/runtime/workers";

/** Registers a worker by a request from that address. */
const register = (body: object, { from = "192.0.2.7", key = MAIN_KEY, of = app } = {}) =>
  of.api.post(WORKERS).set("X-Forwarded-For", from).set(KEY_HEADER, key).send(body);
const workKeyOf = async (name: string) => createKey(db, undefined, name, "work");

describe("a worker that registers with a loopback address", () => {
  it.each([
    ["http://127.0.1.1:8001", "192.0.2.7", "http://192.0.2.7:8001"],
    ["http://localhost:8001/agent/", "2001:db8::5", "http://[2001:db8::5]:8001/agent"],
    ["https://0.0.0.0:8001", "192.0.2.7", "https://192.0.2.7:8001"],
    ["http://[::1]:8001", "192.0.2.7", "http://192.0.2.7:8001"],
    ["http://127.0.1.1:8001", "127.0.0.1", "http://127.0.1.1:8001"],
    ["http://192.168.1.10:8001", "192.0.2.7", "http://192.168.1.10:8001"],
  ])("%s from %s is called at %s", async (url, from, expected) => {
    const { body } = await register({ name: "debian", url }, { from }).expect((answer) => answer.ok);
    expect(body.url).toBe(expected);
  });

  it("is called where Membridge says, which the address of a request never replaces", async () => {
    await register({ name: "rpi", url: "http://127.0.1.1:8001" });
    membridge.agents = [listed("rpi", { url: "http://192.168.1.10:8001" })];
    const pass = () => syncOnce(db, app.membridge, pino({ level: "silent" }));
    await pass();
    const urlOf = async () => (await app.api.get(`${WORKERS}/rpi`).set(KEY_HEADER, MAIN_KEY)).body.url;
    expect(await urlOf()).toBe("http://192.168.1.10:8001");
    expect((await register({ name: "rpi", url: "http://127.0.1.1:8001" })).body.url).toBe("http://192.168.1.10:8001");
    membridge.agents = [listed("rpi", { url: "http://127.0.1.1:8001" })];
    await pass();
    expect(await urlOf()).toBe("http://192.168.1.10:8001");
    await register({ name: "rpi", url: "http://10.0.0.9:8001" });
    membridge.agents = [listed("rpi", { url: "http://192.168.1.10:8001", agent_version: "0.4.0", os_info: "Linux" })];
    await pass();
    expect(await urlOf()).toBe("http://10.0.0.9:8001");
    const { body } = await app.api.get(`${WORKERS}/rpi`).set(KEY_HEADER, MAIN_KEY);
    expect(body).toMatchObject({ agent_version: "0.4.0", os_info: "Linux", install_method: "" });
  });
});

describe("a worker's url", () => {
  it.each(["http://10.0.0.1:8001/any?x=", "http://10.0.0.1:8001/?"])("%s is refused: it has a query", async (url) => {
    const { body } = await register({ name: "queried", url }).expect(400);
    expect(body.error.fieldErrors.url).toEqual([expect.stringContaining("without a query")]);
  });

  it("with a query, in a database from before, is never called", async () => {
    const agent = await startNodeAgent({ runtime: app.url, name: "old", apiKey: MAIN_KEY });
    onTestFinished(agent.close);
    await query("update workers set url = url || '/any?x=' where id = 'old'");
    const task = { context_id: "c", agent_slug: "a", prompt: "p" };
    const { id } = (await app.api.post("/api/runtime/llm-tasks").set(KEY_HEADER, MAIN_KEY).send(task)).body;
    await app.api
      .post(`/api/runtime/llm-tasks/${id}/dispatch`)
      .set(KEY_HEADER, MAIN_KEY)
      .send({ worker_id: "old" })
      .expect(502);
    expect(agent.requests).toEqual([]);
  });
});

describe("a key with the role work", () => {
  it("sets no url where OUTBOUND_ALLOW is not set, nor one outside it: 403, and nobody is registered", async () => {
    const key = await workKeyOf("stranger");
    const refused = await register({ name: "stranger", url: "http://10.0.0.66:8001" }, { key }).expect(403);
    expect(refused.body.error).toContain("OUTBOUND_ALLOW is not set");
    for (const [url, from] of [
      ["http://192.0.2.66:8001/any/path", "10.0.0.5"],
      ["http://127.0.1.1:8001", "192.0.2.66"],
      ["http://[2001:db8::1]:8001", "10.0.0.5"],
    ]) {
      const { body } = await register({ name: "stranger", url }, { key, from, of: fenced }).expect(403);
      expect(body.error).toContain("is not in OUTBOUND_ALLOW");
    }
    expect(await query("select 1 from workers where id = 'stranger'")).toEqual([]);
  });

  it("registers without a url, within OUTBOUND_ALLOW, and again with what an admin has registered", async () => {
    const key = await workKeyOf("known");
    expect((await register({ name: "known" }, { key }).expect(201)).body.url).toBe("");
    const inside = { name: "known", url: "http://10.1.2.3:8001" };
    expect((await register(inside, { key, of: fenced }).expect(200)).body.url).toBe(inside.url);
    await register({ name: "known", url: "http://192.0.2.9:8001" });
    await register({ name: "known", url: "http://192.0.2.9:8001" }, { key }).expect(200);
    await register({ name: "known", url: "http://192.0.2.10:8001" }, { key }).expect(403);
    expect((await register({ name: "known", url: "" }, { key }).expect(200)).body.url).toBe("http://192.0.2.9:8001");
  });
});

describe("the buttons of the node pages", () => {
  const get = (path: string) => app.api.get(path).set(KEY_HEADER, MAIN_KEY);
  const post = (path: string) => app.api.post(path).set(KEY_HEADER, MAIN_KEY);

  it("show the agent's health, or why there is none", async () => {
    const agent = await startNodeAgent({ runtime: app.url, name: "seen", apiKey: MAIN_KEY, generation: "newer" });
    onTestFinished(agent.close);
    const { body } = await get(`${WORKERS}/seen/agent-health`).expect(200);
    expect(body).toMatchObject({ reachable: true, status: "ok", node_id: "seen", claude_cli_available: true });
    expect(agent.requests[0]?.headers).not.toHaveProperty("x-membridge-agent");
    await register({ name: "taken", url: agent.url }, { from: "127.0.0.1" });
    const taken = (await get(`${WORKERS}/taken/agent-health`).expect(200)).body;
    expect(taken).toEqual({ reachable: false, error: expect.stringContaining('the node "seen" answers') });
    await register({ name: "gone", url: "http://127.0.0.1:9" }, { from: "127.0.0.1" });
    expect((await get(`${WORKERS}/gone/agent-health`)).body.reachable).toBe(false);
    await get(`${WORKERS}/nobody/agent-health`).expect(404);
    await get(`${WORKERS}/%00/agent-health`).expect(404);
  });

  it.each([
    ["update", "/self-update"],
    ["restart", "/restart"],
    ["uninstall", "/uninstall"],
  ])("have the agent %s itself, which is audited, and answer as it does", async (action, path) => {
    const agent = await startNodeAgent({
      runtime: app.url,
      name: `does-${action}`,
      apiKey: MAIN_KEY,
      agentKey: AGENT_KEY,
    });
    onTestFinished(agent.close);
    const call = `${WORKERS}/${agent.name}/agent-${action}`;
    expect((await post(call).expect(200)).body).toEqual({ ok: true, node_id: agent.name, did: path });
    expect(agent.requests.at(-1)).toMatchObject({ method: "POST", path, headers: { "x-membridge-agent": AGENT_KEY } });
    await agent.close();
    await post(call).expect(502);
    const entries = await query("select actor, detail from audit_logs where action = $1", [`agent_${action}`]);
    const detail = `The agent of worker ${agent.name} was asked to ${action}: it answered 200`;
    expect(entries).toEqual([{ actor: "admin", detail }]);
  });

  it("ask no agent of another node, none outside OUTBOUND_ALLOW, and none without an address", async () => {
    const agent = await startNodeAgent({
      runtime: app.url,
      name: "mine",
      apiKey: MAIN_KEY,
      health: { node_id: "other" },
    });
    onTestFinished(agent.close);
    const refused = await post(`${WORKERS}/mine/agent-uninstall`).expect(502);
    expect(refused.body.error).toContain('the node "other" answers');
    expect(agent.requests.map(({ path }) => path)).toEqual(["/health"]);
    await register({ name: "far", url: "http://192.0.2.66:8001" });
    const fencedCall = fenced.api.post(`${WORKERS}/far/agent-restart`).set(KEY_HEADER, MAIN_KEY);
    expect((await fencedCall.expect(502)).body.error).toContain("is not in OUTBOUND_ALLOW");
    await register({ name: "bare" });
    await post(`${WORKERS}/bare/agent-update`).expect(400);
  });

  it("find no projects, and make none: 501 with the reason", async () => {
    expect((await get("/api/runtime/projects").expect(200)).body).toEqual([]);
    expect((await post("/api/runtime/projects").send({}).expect(501)).body.error).toContain("keeps no projects");
  });
});
