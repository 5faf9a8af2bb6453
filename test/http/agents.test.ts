import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { syncOnce } from "../../src/fleet/sync.ts";
import { createKey } from "../../src/settings/keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { anAgent as listed, startMembridge } from "../support/membridge.ts";
import { startNodeAgent } from "../support/node-agent.ts";

const AGENT_KEY = "the-key-of-the-agents";
const MAIN = "the key that opens everything";
const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
const env = {
  MEMBRIDGE_SERVER_URL: membridge.url,
  MEMBRIDGE_AGENT_KEY: AGENT_KEY,
  TRUST_PROXY_HOPS: "1",
  RUNTIME_API_KEY: MAIN,
};
const app = await startApp(db, { env });
const fenced = await startApp(db, { env: { ...env, OUTBOUND_ALLOW: "10.0.0.0/8, 127.0.0.0/8" } });
const WORKERS = "/api/runtime/workers";
const KEY = "X-Runtime-API-Key";

/** Registers a worker by a request from that address. */
const register = (body: object, { from = "192.0.2.7", key = MAIN, of = app } = {}) =>
  of.api.post(WORKERS).set("X-Forwarded-For", from).set(KEY, key).send(body);
const workKeyOf = async (name: string) => createKey(db, name, "work");

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
    const urlOf = async () => (await app.api.get(`${WORKERS}/rpi`).set(KEY, MAIN)).body.url;
    expect(await urlOf()).toBe("http://192.168.1.10:8001");
    expect((await register({ name: "rpi", url: "http://127.0.1.1:8001" })).body.url).toBe("http://192.168.1.10:8001");
    membridge.agents = [listed("rpi", { url: "http://127.0.1.1:8001" })];
    await pass();
    expect(await urlOf()).toBe("http://192.168.1.10:8001");
    await register({ name: "rpi", url: "http://10.0.0.9:8001" });
    membridge.agents = [listed("rpi", { url: "http://192.168.1.10:8001", agent_version: "0.4.0", os_info: "Linux" })];
    await pass();
    expect(await urlOf()).toBe("http://10.0.0.9:8001");
    const { body } = await app.api.get(`${WORKERS}/rpi`).set(KEY, MAIN);
    expect(body).toMatchObject({ agent_version: "0.4.0", os_info: "Linux", install_method: "" });
  });
});

describe("a worker's url", () => {
  it.each(["http://10.0.0.1:8001/any?x=", "http://10.0.0.1:8001/?"])("%s is refused: it has a query", async (url) => {
    const { body } = await register({ name: "queried", url }).expect(400);
    expect(body.error.fieldErrors.url).toEqual([expect.stringContaining("without a query")]);
  });

  it("with a query, in a database from before, is never called", async () => {
    const agent = await startNodeAgent({ runtime: app.url, name: "old", apiKey: MAIN });
    onTestFinished(agent.close);
    await query("update workers set url = url || '/any?x=' where id = 'old'");
    const task = { context_id: "c", agent_slug: "a", prompt: "p" };
    const { id } = (await app.api.post("/api/runtime/llm-tasks").set(KEY, MAIN).send(task)).body;
    await app.api.post(`/api/runtime/llm-tasks/${id}/dispatch`).set(KEY, MAIN).send({ worker_id: "old" }).expect(502);
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
