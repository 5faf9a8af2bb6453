/** What stands before every call: keys, rate limits, the redirect to https, CORS, the headers of answers and the log line. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { text as readText } from "node:stream/consumers";
import type { Router } from "express";
import { afterAll, describe, expect, it } from "vitest";
import { forgetPastHits } from "../../src/db/rate-counts.ts";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS, OPEN_CALLS } from "../support/every-call.ts";
import { aLeasedTask } from "../support/factories.ts";
import { startMembridge } from "../support/membridge.ts";

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

describe("limits", () => {
  it("100 requests a minute over both routers, with RateLimit headers of draft 6", async () => {
    const { api } = await start({ RATE_LIMIT_PER_MINUTE: "100" });
    const first = await api.get(`${RUNTIME}/health`);
    expect(first.headers).toMatchObject({
      "ratelimit-policy": "100;w=60",
      "ratelimit-limit": "100",
      "ratelimit-remaining": "99",
    });
    expect(Number(first.headers["ratelimit-reset"])).toBeGreaterThan(0);
    expect(Object.keys(first.headers).filter((name) => name.startsWith("x-ratelimit"))).toEqual([]);
    for (let n = 1; n < 100; n++) await api.get(n % 2 ? "/api/membridge/nothing" : `${RUNTIME}/health`);
    for (const path of [`${RUNTIME}/health`, "/api/membridge/nothing"]) {
      const { status, body } = await api.get(path);
      expect([status, body]).toEqual([
        429,
        {
          error: "Too many requests, please try again later",
          message:
            "RATE_LIMIT_PER_MINUTE allows 100 of these requests a minute for one address; this one counts for 127.0.0.1.",
        },
      ]);
    }
  });

  it("never refuse what a worker needs for its work by the general limit", async () => {
    const { api } = await start({ RATE_LIMIT_PER_MINUTE: "1", WORKER_CALLBACK_LIMIT_PER_MINUTE: "8" });
    await api.get(`${RUNTIME}/health`);
    expect((await api.get(`${RUNTIME}/health`)).status).toBe(429);
    const { task } = await aLeasedTask(db);
    const call = (verb: string) => api.post(`${RUNTIME}/llm-tasks/${task.id}/${verb}`).send({});
    const statuses = [];
    const name = "a-worker-of-the-limit";
    statuses.push((await api.post(`${RUNTIME}/workers`).send({ name })).status);
    statuses.push((await api.post(`${RUNTIME}/llm-tasks/claim`).send({ worker_id: name })).status);
    statuses.push((await api.put(`${RUNTIME}/llm-tasks/${randomUUID()}/output`).send("x")).status);
    statuses.push((await call("lease")).status);
    for (const verb of ["heartbeat", "complete", "release", "heartbeat", "heartbeat"])
      statuses.push((await call(verb)).status);
    expect(statuses).toEqual([201, 204, 404, 409, 200, 400, 400, 200, 429]);
  });

  it("hold over all instances with RATE_LIMIT_SHARED", async () => {
    const env = {
      RATE_LIMIT_SHARED: "true",
      RATE_LIMIT_PER_MINUTE: "4",
      WRONG_KEY_LIMIT_PER_MINUTE: "2",
      RUNTIME_API_KEY: KEY,
    };
    const [one, two] = [await start(env), await start(env)];
    const ask = async ({ api }: typeof one, path: string, key = KEY) =>
      (await api.get(RUNTIME + path).set("X-Runtime-API-Key", key)).status;
    const statuses = [];
    for (const wrong of ["a", "b", "c"]) statuses.push(await ask(statuses.length === 0 ? one : two, "/workers", wrong));
    expect(statuses).toEqual([401, 401, 429]);
    await query("update runtime_rate_counts set hits = 0 where key like 'RATE%'");
    for (const each of [one, two, one]) statuses.push(await ask(each, "/health"));
    const last = await two.api.get(`${RUNTIME}/health`);
    expect([last.status, last.headers["ratelimit-remaining"]]).toEqual([200, "0"]);
    expect(Number(last.headers["ratelimit-reset"])).toBeLessThanOrEqual(60);
    expect(await Promise.all([one, two].map((each) => ask(each, "/health")))).toEqual([429, 429]);
    // A window that is over begins anew.
    await query("update runtime_rate_counts set ends_at = 0");
    expect(await ask(one, "/health")).toBe(200);
    // That of the wrong keys; the other one has just begun anew.
    expect(await forgetPastHits(db)).toBe(1);
  });

  it("20 connection tests a minute", async () => {
    const { api } = await start({ TEST_CONNECTION_LIMIT_PER_MINUTE: "20", MEMBRIDGE_SERVER_URL: fake.url });
    const test = () => api.post(`${RUNTIME}/test-connection`);
    for (let n = 0; n < 20; n++) expect((await test()).status).toBe(200);
    const { status, body } = await test();
    expect([status, body.error]).toEqual([429, "Too many requests, please try again later"]);
    expect(body.message).toContain("TEST_CONNECTION_LIMIT_PER_MINUTE allows 20");
    expect((await api.get(`${RUNTIME}/health`)).status).toBe(200);
  });

  it("are by client: whom X-Forwarded-For names counts only behind a trusted proxy", async () => {
    const ask = (api: Awaited<ReturnType<typeof start>>["api"], address: string) =>
      api.get(`${RUNTIME}/health`).set("X-Forwarded-For", address);
    for (const env of [{ TRUST_PROXY_HOPS: "1" }, { NODE_ENV: "production", ALLOW_OPEN: "true" }]) {
      const trusting = await start({ RATE_LIMIT_PER_MINUTE: "1", ...env });
      expect((await ask(trusting.api, "10.0.0.1")).status).toBe(200);
      expect((await ask(trusting.api, "10.0.0.2")).status).toBe(200);
      expect((await ask(trusting.api, "10.0.0.9, 10.0.0.1")).status).toBe(429);
    }
    const bare = await start({ RATE_LIMIT_PER_MINUTE: "1" });
    expect((await ask(bare.api, "10.0.0.1")).status).toBe(200);
    expect((await ask(bare.api, "10.0.0.2")).status).toBe(429);
  });
});

describe("the client's address", async () => {
  const { api, logged } = await start({ TRUST_PROXY_HOPS: "1", RATE_LIMIT_PER_MINUTE: "1" });

  it.each([
    ["203.0.113.7:40001", "203.0.113.7", ["203.0.113.7", "203.0.113.7:40002", "evil, 203.0.113.7:1"]],
    ["[2001:DB8::7]:40001", "2001:db8::7", ["2001:db8::7", "[2001:db8::8]", "2001:db8:0:0:ffff::1"]],
    ["::ffff:203.0.113.8", "203.0.113.8", ["203.0.113.8", "[::ffff:203.0.113.8]:5"]],
    ["fe80::1%eth0", "fe80::1", ["fe80::2"]],
    ["unknown", "127.0.0.1", ["", "_hidden", "203.0.113.999", "[203.0.113.7]", "[2001:db8::7", "1.2.3.4:port", ":80"]],
  ])("that a proxy writes as %s is %s, and that of %j is the same for every limit", async (first, client, others) => {
    const ask = (address: string) => api.get(`${RUNTIME}/health`).set("X-Forwarded-For", address);
    expect((await ask(first)).status).toBe(200);
    for (const other of others) expect([other, (await ask(other)).status]).toEqual([other, 429]);
    await expect.poll(() => logged.some((line) => line.client === client && line.status === 200)).toBe(true);
  });

  it("of another network of IPv6 is another client's", async () => {
    await api.get(`${RUNTIME}/health`).set("X-Forwarded-For", "2001:db8:0:1::7").expect(200);
  });
});

describe("in production", async () => {
  const { api, url } = await start({ NODE_ENV: "production", ALLOW_OPEN: "true" });

  it("what reached the proxy over http is redirected to https", async () => {
    const ask = (proto: string, host = "bloom.example") =>
      api.get(`${RUNTIME}/health?a=b`).set("X-Forwarded-Proto", proto).set("Host", host);
    const redirected = await ask("http");
    expect([redirected.status, redirected.headers.location]).toEqual([
      301,
      `https://bloom.example${RUNTIME}/health?a=b`,
    ]);
    expect((await ask("http", "my_runtime:3002")).headers.location).toBe(
      `https://my_runtime:3002${RUNTIME}/health?a=b`,
    );
    for (const [method, status] of [
      ["head", 301],
      ["post", 308],
      ["put", 308],
      ["delete", 308],
    ] as const)
      expect((await api[method](`${RUNTIME}/workers`).set("X-Forwarded-Proto", "http")).status).toBe(status);
    expect((await ask("https")).status).toBe(200);
    expect((await api.get(`${RUNTIME}/health`)).status).toBe(200);
    expect((await ask("http", "evil.example/path?")).status).toBe(400);
  });

  /** Where a request for `target`, which no parser has tidied up, is sent to; its status where it is not. */
  async function sentTo(url: string, target: string, host: string) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n`);
    const answer = await readText(socket);
    if (answer.startsWith("HTTP/1.1 301 ")) expect(answer).toMatch(/^cache-control: no-store\r$/im);
    return answer.match(/^location: (.*)\r$/im)?.[1] ?? Number(answer.split(" ")[1]);
  }

  it.each([
    ["/a?b=c", "bloom.example", "https://bloom.example/a?b=c"],
    ["/a//b", "bloom.example:8443", "https://bloom.example:8443/a//b"],
    ["http://evil.example/a?b=c", "bloom.example", "https://bloom.example/a?b=c"],
    ["HTTPS://user:pw@evil.example", "bloom.example", "https://bloom.example/"],
    ["//evil.example/a", "bloom.example", 400],
    ["/\\evil.example/a", "bloom.example", 400],
    ["ftp://evil.example/a", "bloom.example", 400],
    ["/a", "bloom.example@evil.example", 400],
    ["/a", "", 400],
  ])("%s for the host %j leads to %s, and nowhere else", async (target, host, expected) => {
    expect(await sentTo(url, target, host)).toBe(expected);
  });

  it("an https PUBLIC_URL is where it leads, whatever the Host header says", async () => {
    const known = await start({
      NODE_ENV: "production",
      ALLOW_OPEN: "true",
      PUBLIC_URL: "https://bloom.example:444/base",
    });
    expect(await sentTo(known.url, "/a?b=c", "evil.example")).toBe("https://bloom.example:444/a?b=c");
    const inside = await start({ NODE_ENV: "production", ALLOW_OPEN: "true", PUBLIC_URL: "http://10.0.0.5:3002" });
    expect(await sentTo(inside.url, "/a", "bloom.example")).toBe("https://bloom.example/a");
  });
});

describe("CORS", () => {
  it("lets pages of the configured origins in, and no others", async () => {
    const { api } = await start({ CORS_ORIGINS: "https://garden.example", RUNTIME_API_KEY: KEY });
    const from = (origin: string) => api.get(`${RUNTIME}/health`).set("Origin", origin);
    expect((await from("https://garden.example")).headers["access-control-allow-origin"]).toBe(
      "https://garden.example",
    );
    expect((await from("https://evil.example")).headers).not.toHaveProperty("access-control-allow-origin");
    const exposed = (await from("https://garden.example")).headers["access-control-expose-headers"];
    for (const name of ["ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "Link", "X-Request-Id"])
      expect(exposed?.split(",")).toContain(name);
    const preflight = await api
      .options(`${RUNTIME}/llm-tasks`)
      .set({ Origin: "https://garden.example", "Access-Control-Request-Method": "POST" })
      .set("Access-Control-Request-Headers", "x-runtime-api-key,content-type");
    expect([preflight.status, preflight.headers["access-control-allow-headers"]]).toEqual([
      204,
      "x-runtime-api-key,content-type",
    ]);
  });

  it("is off by default", async () => {
    const { api } = await start();
    const { headers } = await api.get(`${RUNTIME}/health`).set("Origin", "https://garden.example");
    expect(headers).not.toHaveProperty("access-control-allow-origin");
  });
});

describe("the log", () => {
  it("has one line for each request: method, path, route, status, duration, and nothing of its query, headers and body", async () => {
    const { api, logged } = await start({ RUNTIME_API_KEY: KEY });
    const tasks = `${RUNTIME}/llm-tasks`;
    const create = (body: object | string, key = KEY) =>
      api.post(tasks).set("X-Runtime-API-Key", key).set("Content-Type", "application/json").send(body);
    await api.get(`${RUNTIME}/audit?limit=5&after=secret`).set("X-Runtime-API-Key", KEY);
    await create({ context_id: "garden", agent_slug: "writer", prompt: "secret" });
    await create({ prompt: "secret", max_attempts: "secret" });
    await create("{secret");
    await create({}, "a secret guess");
    const line = (method: string, path: string, route: string, status: number) =>
      expect.objectContaining({ method, path, route, status, durationMs: expect.any(Number) });
    // A line is written when the connection is done with the answer, which may be after the client has it.
    await expect
      .poll(() => logged.filter(({ durationMs }) => durationMs !== undefined).length)
      .toBeGreaterThanOrEqual(5);
    expect(logged).toHaveLength(5);
    expect(logged).toEqual(
      expect.arrayContaining([
        line("GET", `${RUNTIME}/audit`, "listAudit", 400),
        ...[201, 400, 401].map((status) => line("POST", tasks, "createTask", status)),
      ]),
    );
    expect(JSON.stringify(logged)).not.toMatch(/secret|a key of/);
    expect(JSON.stringify(logged)).not.toContain(ADMIN_KEY);
  });
});
