import type { Router } from "express";
import { afterAll, describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS, OPEN_CALLS } from "../support/every-call.ts";
import { aLeasedTask } from "../support/factories.ts";
import { startMembridge } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const KEY = "a key of the runtime";
const RUNTIME = "/api/runtime";
const fake = await startMembridge();
afterAll(fake.close);
const start = (env: Record<string, string> = {}) =>
  startApp(db, {
    env: { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", WRONG_KEY_LIMIT_PER_MINUTE: "0", ...env },
  });

describe("with RUNTIME_API_KEY set", async () => {
  const { api, app } = await start({ RUNTIME_API_KEY: KEY, MEMBRIDGE_SERVER_URL: fake.url });

  it.each([
    ...CALLS.filter(([method, path]) => !OPEN_CALLS.includes(`${method} ${path}`)),
    ["get", `${RUNTIME}/nothing`],
    ["post", `${RUNTIME}/health`],
    ["get", `${RUNTIME}/test-connection`],
  ] as const)("%s %s needs the key", async (method, path) => {
    const none = "This call needs a key in the header X-Runtime-API-Key.";
    const wrong = "The key in the header X-Runtime-API-Key is not valid, or has been revoked.";
    const { body: refused, headers } = await api[method](path);
    expect(refused).toEqual({ error: "Unauthorized", message: none });
    expect(headers["www-authenticate"]).toBe('ApiKey realm="BLOOM Runtime", header="X-Runtime-API-Key"');
    for (const key of ["", "wrong", KEY.slice(1), `${KEY}x`]) {
      const { status, body } = await api[method](path).set("X-Runtime-API-Key", key);
      expect([status, body]).toEqual([401, { error: "Unauthorized", message: key === "" ? none : wrong }]);
    }
    expect((await api[method](path).set("X-Runtime-API-Key", KEY)).status).not.toBe(401);
  });

  it("test/support/every-call.ts has every route, by its address, once", () => {
    const layers = app.router.stack.flatMap(({ handle }) => ("stack" in handle ? (handle as Router).stack : []));
    const mounted = layers.flatMap(({ route }) => {
      if (!route) return [];
      const [method] = route.stack.map((layer) => layer.method);
      return `${method} ${String(route.path).replace("/input/:name", "/input/context_hints").replaceAll(/:\w+/g, "x")}`;
    });
    expect(mounted.toSorted()).toEqual(CALLS.map(([method, path]) => `${method} ${path}`).toSorted());
  });

  it("an address that cannot be decoded needs the key too, and counts for the limits", async () => {
    const limited = await start({ RUNTIME_API_KEY: KEY, RATE_LIMIT_PER_MINUTE: "2" });
    const ask = (key: string) => limited.api.get(`${RUNTIME}/llm-tasks/%zz`).set("X-Runtime-API-Key", key);
    expect([(await ask("wrong")).status, (await ask(KEY)).status, (await ask(KEY)).status]).toEqual([401, 400, 429]);
  });

  it("OPTIONS says with the key which methods an address has", async () => {
    const ask = () => api.options(`${RUNTIME}/workers`);
    expect((await ask()).status).toBe(401);
    const { status, headers } = await ask().set("X-Runtime-API-Key", KEY);
    expect([status, headers.allow]).toEqual([200, "GET, HEAD, POST"]);
  });

  it("three calls beside the documents are open, and HEAD is where GET is", async () => {
    expect((await api.get(`${RUNTIME}/health`)).status).toBe(200);
    expect((await api.head(`${RUNTIME}/health`)).status).toBe(200);
    expect((await api.head("/api/membridge/health")).status).toBe(200);
    expect((await api.head(`${RUNTIME}/workers`)).status).toBe(401);
    expect((await api.post(`${RUNTIME}/test-connection`)).body.connected).toBe(true);
    expect((await api.get("/api/membridge/health")).status).toBe(200);
  });
});

it("with RUNTIME_API_KEY_PREVIOUS too, both keys open everything, and the log says which was used", async () => {
  const { api, logged } = await start({ RUNTIME_API_KEY: KEY, RUNTIME_API_KEY_PREVIOUS: "the key before" });
  for (const key of [KEY, "the key before", "the key before both"])
    await api.get(`${RUNTIME}/workers`).set("X-Runtime-API-Key", key);
  await expect
    .poll(() => logged.map(({ status, key, client }) => [status, key, client]))
    .toEqual([
      [200, "RUNTIME_API_KEY", "127.0.0.1"],
      [200, "RUNTIME_API_KEY_PREVIOUS", "127.0.0.1"],
      [401, undefined, "127.0.0.1"],
    ]);
});

describe("without RUNTIME_API_KEY", async () => {
  const { api } = await start();

  it("everything is open", async () => {
    expect((await api.get(`${RUNTIME}/workers`)).status).toBe(200);
  });

  it("what is wrong with a request is said in JSON", async () => {
    const json = (body: string | Buffer) =>
      api
        .post(`${RUNTIME}/llm-tasks`)
        .set("Content-Type", "application/json")
        .send(body as string);
    const sentence = expect.stringMatching(/^[A-Z].*\.$/);
    const broken = await json("{not json");
    expect([broken.status, broken.body]).toEqual([400, { error: sentence, message: sentence }]);
    const unknown = await api.get("/api/nothing");
    expect([unknown.status, unknown.body]).toEqual([404, { error: "Nothing is served at GET /api/nothing" }]);
    const { body } = await api.get("/");
    expect(body.error).toBe("Nothing is served at GET /. The calls are below /api/runtime; /docs lists them.");
    const large = await json(JSON.stringify({ prompt: "x".repeat(10 * 1024 * 1024) }));
    expect([large.status, large.body]).toEqual([413, { error: sentence, message: sentence }]);
    const text = await api.post(`${RUNTIME}/llm-tasks`).set("Content-Type", "text/plain").send("hello");
    expect([text.status, text.body]).toEqual([415, { error: sentence, message: sentence }]);
    const path = await api.get(`${RUNTIME}/llm-tasks/%zz`);
    expect([path.status, path.body]).toEqual([400, { error: sentence, message: sentence }]);
  });

  it("a fault that nobody foresaw is a 500 without internals, and the log has it without the admin key", async () => {
    const { api: faulty, logged } = await start();
    const saved = { membridge_server_url: "https://membridge.example/", admin_key: "another-admin-key-0123456789" };
    const save = async () => await faulty.post(`${RUNTIME}/config`).send(saved);
    await query("alter table audit_logs rename to audit_logs_away");
    const answer = await save().finally(() => query("alter table audit_logs_away rename to audit_logs"));
    expect([answer.status, answer.body]).toEqual([
      500,
      { error: "Internal server error", message: "Something went wrong in BLOOM Runtime; its log says what." },
    ]);
    expect(JSON.stringify(logged)).toContain("audit_logs");
    expect(JSON.stringify(logged)).not.toContain(saved.admin_key);
  });

  it("an answer of 9 MB gets through whole", async () => {
    const { task } = await aLeasedTask(db);
    const output = "🌱".repeat(2_300_000);
    const { status, body } = await api
      .post(`${RUNTIME}/llm-tasks/${task.id}/complete`)
      .send({ status: "success", output, metrics: { duration_ms: 1 } });
    expect([status, body.artifact.content === output]).toEqual([200, true]);
  });

  it("answers carry security headers, and not who made the server", async () => {
    const { headers } = await api.get(`${RUNTIME}/health`);
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "content-security-policy": expect.any(String),
    });
    expect(headers).not.toHaveProperty("x-powered-by");
  });
});
