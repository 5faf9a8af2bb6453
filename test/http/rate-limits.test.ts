import { randomUUID } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { forgetPastHits } from "../../src/db/rate-counts.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { startMembridge } from "../support/scripted-membridge.ts";
import { sendBytes } from "../support/send-bytes.ts";

const { db, query } = await createTestDatabase();
const KEY = "a key of the runtime";
const RUNTIME = "/api/runtime";
const fake = await startMembridge();
afterAll(fake.close);
const start = (env: Record<string, string>) => startApp(db, { env });

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

  it("let as many pass as they allow, also of those that come at once on one connection", async () => {
    const { url } = await start({ RATE_LIMIT_PER_MINUTE: "20" });
    const stats = (more = "") => `GET ${RUNTIME}/stats HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
    const answers = await sendBytes(url, stats().repeat(29) + stats("Connection: close\r\n"));
    const statuses = [...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual([...Array(20).fill("200"), ...Array(10).fill("429")]);
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
