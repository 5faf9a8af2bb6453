import { pino } from "pino";
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { createMembridge, type MembridgeCall, MembridgeUnreachable } from "../../src/fleet/membridge.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { createMembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { ADMIN_KEY } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aProject, connectionRefused, type Fault, startMembridge } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const outbound = createOutbound();
afterAll(() => outbound.destroy());
const OK: Fault = { status: 200, json: { fine: true } };
const once = { retries: 0 };
const post = { method: "POST", body: { primary_node_id: "rpi" } } as const;

/** A client as the environment sets it up, with counters of its own. */
function clientOf(url: string, adminKey = ADMIN_KEY, options = {}) {
  const membridgeConfig = createMembridgeConfig(
    db,
    createSecretBox("a secret"),
    { url, adminKey },
    pino({ level: "silent" }),
  );
  return { membridgeConfig, ...createMembridge(membridgeConfig, outbound, options) };
}

const fake = await startMembridge();
let client = clientOf(fake.url);
beforeEach(() => {
  fake.reset();
  client = clientOf(fake.url);
});
afterAll(fake.close);
const paths = () => fake.requests.map((request) => request.path);

describe("a call to Membridge", () => {
  it("carries the admin key and gives the answer's JSON", async () => {
    fake.projects = [aProject("garden-seedling", "aeeafec3a5b5710f")];
    expect(await client.call(["projects"])).toEqual({ status: 200, json: fake.projects });
    expect(fake.requests[0]?.headers["x-membridge-admin"]).toBe(ADMIN_KEY);
  });

  it("carries no key header when no key is configured", async () => {
    expect((await clientOf(fake.url, "").call(["agents"])).status).toBe(401);
    expect(fake.requests[0]?.headers).not.toHaveProperty("x-membridge-admin");
  });

  it("sends a body as JSON", async () => {
    fake.fail("*", OK);
    await client.call(["projects", "p", "leadership", "select"], post);
    expect(fake.requests[0]).toMatchObject({ method: "POST", path: "/projects/p/leadership/select", body: post.body });
    expect(fake.requests[0]?.headers["content-type"]).toBe("application/json");
  });

  it.each([
    ["/", "/health"],
    ["/control/plane", "/control/plane/health"],
    ["/control/plane/", "/control/plane/health"],
  ])("takes a base address that ends in %s", async (end, path) => {
    fake.fail("*", OK);
    await clientOf(fake.url + end).call(["health"]);
    expect(paths()).toEqual([path]);
  });

  it("sends a project's id as one encoded segment, whatever is in it", async () => {
    fake.fail("*", OK);
    await client.call(["projects", "a/b?c#d%2F", "nodes"]);
    await client.call(["projects", "../agents", "nodes"]);
    expect(paths()).toEqual(["/projects/a%2Fb%3Fc%23d%252F/nodes", "/projects/..%2Fagents/nodes"]);
  });

  it.each([400, 401, 403, 404, 409, 422, 429])("gives a %i to the caller without another try", async (status) => {
    fake.fail("*", { status, json: { detail: "no" } });
    expect(await client.call(["projects"])).toEqual({ status, json: { detail: "no" } });
    expect(fake.requests).toHaveLength(1);
  });

  it.each<[string, Fault]>([
    ["a 500", { status: 500, json: { detail: "broken" } }],
    ["a 503 in HTML", { status: 503, html: "<h1>down</h1>" }],
    ["a cut connection", "cut"],
  ])("is not repeated, being a POST, after %s", async (_name, fault) => {
    fake.fail("*", fault);
    await client.call(["projects", "p", "leadership", "select"], { ...post, retries: 1 }).catch(() => {});
    expect(fake.requests).toHaveLength(1);
  });

  it("gives a 5xx to the caller when no retry is left, its body only when that is JSON", async () => {
    fake.fail("*", { status: 502, json: { detail: "proxy" } }, 1);
    expect(await client.call(["health"], once)).toEqual({ status: 502, json: { detail: "proxy" } });
    fake.fail("*", { status: 502, html: "<h1>Bad Gateway</h1>" });
    expect(await client.call(["health"], once)).toEqual({ status: 502, json: undefined });
  });

  it.each(["<h1>hello</h1>", "", "{"])("is a fault when the answer is 200 and no JSON: %j", async (html) => {
    fake.fail("*", { status: 200, html });
    await expect(client.call(["health"])).rejects.toThrow(MembridgeUnreachable);
    expect(fake.requests).toHaveLength(1);
  });

  it.each([301, 302, 303, 307, 308])("does not follow a %i, so that the key does not travel", async (status) => {
    const elsewhere = await startMembridge();
    onTestFinished(elsewhere.close);
    fake.fail("*", { redirect: `${elsewhere.url}/agents`, status });
    await expect(client.call(["agents"], once)).rejects.toThrow(MembridgeUnreachable);
    await expect(client.call(["agents"], { ...post, ...once })).rejects.toThrow(MembridgeUnreachable);
    expect(fake.requests).toHaveLength(2);
    expect(elsewhere.requests).toEqual([]);
  });

  it.each([false, true])(
    "takes an answer of 5 MB and no more, and none that is far longer (gzip: %j)",
    async (gzip) => {
      const answer = async (bytes: number) => {
        fake.reset();
        fake.fail("*", { bytes, gzip });
        return client.call(["agents"], once);
      };
      const limit = 5 * 2 ** 20;
      for (const bytes of [limit - 1, limit]) expect((await answer(bytes)).json).toHaveLength(bytes - 2);
      for (const bytes of [limit + 1, 16 * 2 ** 20])
        await expect(answer(bytes)).rejects.toThrow(`its answer is longer than ${limit} bytes`);
    },
  );
});

describe("what is known of the connection", () => {
  it("counts failures in a row until a call succeeds, and keeps the last success and the last error", async () => {
    expect(client.state()).toEqual({
      consecutiveFailures: 0,
      lastSuccess: null,
      lastError: null,
      connected: false,
      circuit: "closed",
    });

    fake.fail("*", { status: 503, json: {} }, 1);
    fake.fail("*", "cut", 1);
    await client.call(["health"], once);
    expect(client.state()).toMatchObject({ consecutiveFailures: 1, lastSuccess: null, connected: false });
    expect(client.state().lastError).toContain("503");
    await expect(client.call(["health"], once)).rejects.toThrow();
    expect(client.state()).toMatchObject({ consecutiveFailures: 2, lastSuccess: null, connected: false });

    const before = Date.now();
    await client.call(["health"], once);
    const { lastSuccess, ...after } = client.state();
    expect(after).toMatchObject({ consecutiveFailures: 0, connected: true });
    expect(lastSuccess).toBeGreaterThanOrEqual(before);
    expect(lastSuccess).toBeLessThanOrEqual(Date.now());
  });

  it("is recorded in the configuration when it changes", async () => {
    await query("delete from runtime_settings");
    const before = Date.now();
    await client.call(["health"], once);
    const first = await client.membridgeConfig.view();
    expect(first.connected).toBe(true);
    expect(first.last_test).toBeGreaterThanOrEqual(before - 1);

    fake.fail("*", "cut");
    await client.call(["health"], once).catch(() => {});
    const second = await client.membridgeConfig.view();
    expect(second.connected).toBe(false);
    expect(second.last_test).toBeGreaterThanOrEqual(first.last_test ?? Number.NaN);
  });
});

describe("the circuit", () => {
  const breakIt = async () => {
    for (let n = 0; n < 5; n++) await expect(client.call(["health"], once)).rejects.toThrow(MembridgeUnreachable);
  };
  beforeEach(() => {
    client = clientOf(fake.url, ADMIN_KEY, { pauseMs: 200 });
    fake.fail("*", "cut");
  });

  it("opens after five failed calls, and then nobody waits", async () => {
    await breakIt();
    expect([fake.requests.length, client.state().circuit]).toEqual([5, "open"]);
    client = clientOf(fake.url);
    await breakIt();
    const started = performance.now();
    await expect(client.call(["health"])).rejects.toThrow("asked again after 10 s");
    // A call would be tried for 3.5 s.
    expect(performance.now() - started).toBeLessThan(2_000);
    expect([fake.requests.length, client.state().consecutiveFailures]).toEqual([10, 5]);
  });

  it("lets one probe find out whether Membridge is back, without retries, and closes when it is", async () => {
    await breakIt();
    const ask = () =>
      client.call(["projects"]).then(
        ({ status }) => status,
        (error) => error.message,
      );
    await expect.poll(() => ask().then(() => fake.requests.length)).toBeGreaterThan(5);
    expect(await ask()).toContain("asked again after");
    // Each rest of 200 ms that has passed let one probe through.
    expect(paths().slice(5)).toEqual(Array(client.state().consecutiveFailures - 5).fill("/health"));
    fake.reset();
    await expect.poll(ask).toBe(200);
    expect([paths(), client.state().circuit]).toEqual([["/health", "/projects"], "closed"]);
  });

  it("lets nobody wait for a probe that hangs, nor does it send what its caller wanted", async () => {
    await breakIt();
    fake.reset();
    fake.fail("*", "hang");
    const ask = (options: MembridgeCall = {}) =>
      expect(client.call(["projects"], options)).rejects.toThrow("asked again after");
    await expect
      .poll(async () => {
        await Promise.all(Array.from({ length: 20 }, () => ask({ ...post })));
        return paths();
      })
      .toEqual(["/health"]);
    await ask();
    // All have their answers while the probe still hangs, which it does for 2 s.
    expect([client.state().circuit, fake.givenUp]).toEqual(["half-open", 0]);
    await expect.poll(() => client.state().lastError).toBe("no answer within 2 s");
    expect(client.state().circuit).toBe("open");
    await expect.poll(() => fake.givenUp).toBe(1);
  });

  it("is no obstacle for who insists, and closes when that succeeds", async () => {
    await breakIt();
    fake.reset();
    expect((await client.call(["health"], { insist: true })).status).toBe(200);
    expect(client.state().circuit).toBe("closed");
    expect((await client.call(["health"])).status).toBe(200);
  });

  it("counts anew for another address", async () => {
    await breakIt();
    const other = await startMembridge();
    onTestFinished(other.close);
    await client.membridgeConfig.save(NOBODY, { membridge_server_url: other.url, admin_key: ADMIN_KEY });
    onTestFinished(async () => void (await query("delete from runtime_settings")));
    expect((await client.call(["health"])).status).toBe(200);
  });

  it("does not count a call that its caller has given up, which ends at once", async () => {
    fake.reset();
    fake.fail("*", "hang");
    for (let n = 0; n < 6; n++) {
      const calling = client.call(["health"], { signal: AbortSignal.timeout(20) });
      await expect(calling).rejects.toThrow("aborted due to timeout");
    }
    expect(client.state()).toMatchObject({ consecutiveFailures: 0, circuit: "closed" });
  });
});

it("the state of the connection is written when it changes, and every 30 s, not at each call", async () => {
  await query("delete from runtime_settings");
  const written = () =>
    query("select xmin::text, key from runtime_settings where key in ('connected', 'last_test') order by key");
  await client.call(["health"], once);
  const first = await written();
  for (let n = 0; n < 5; n++) await client.call(["health"], once);
  expect(await written()).toEqual(first);
  await query("update runtime_settings set value = (value::bigint - 31000)::text where key = 'last_test'");
  await client.call(["health"], once);
  const second = await written();
  expect(second).not.toEqual(first);

  fake.fail("*", "cut");
  await client.call(["health"], once).catch(() => {});
  const away = await written();
  expect(away).not.toEqual(second);
  for (let n = 0; n < 3; n++) await client.call(["health"], once).catch(() => {});
  expect(await written()).toEqual(away);
});

// These take as long as the contract says that they take, so they run side by side.
describe.concurrent("time", () => {
  it("tries three more times after a 5xx, 500 ms, 1 s and 2 s later", async ({ onTestFinished }) => {
    const fake = await startMembridge();
    onTestFinished(fake.close);
    fake.fail("*", { status: 500, json: {} });
    expect((await clientOf(fake.url).call(["health"])).status).toBe(500);
    const gaps = fake.requests.slice(1).map(({ at }, index) => at - (fake.requests[index]?.at ?? 0));
    expect(gaps).toHaveLength(3);
    for (const [index, planned] of [500, 1_000, 2_000].entries()) {
      expect(gaps[index]).toBeGreaterThan(planned - 5);
      // 30 % of jitter, and air for a machine under load.
      expect(gaps[index]).toBeLessThan(planned * 2 + 1_500);
    }
  });

  it("gives the answer of the try that works, after a connection was cut", async ({ onTestFinished }) => {
    const fake = await startMembridge();
    onTestFinished(fake.close);
    fake.fail("*", "cut", 1);
    expect((await clientOf(fake.url).call(["projects"], { retries: 1 })).status).toBe(200);
    expect(fake.requests).toHaveLength(2);
  });

  it("repeats a POST whose connection was refused: it cannot have done anything", async ({ onTestFinished }) => {
    const gone = await startMembridge();
    await gone.close();
    const refused = connectionRefused(gone.port);
    const calling = clientOf(gone.url).call(["agents"], { ...post, retries: 1 });
    await refused;
    const back = await startMembridge({ port: gone.port });
    onTestFinished(back.close);
    back.fail("*", OK);
    expect((await calling).status).toBe(200);
    expect(back.requests).toHaveLength(1);
  });

  it.concurrent.each<Fault>(["hang", "stall"])(
    "gives up after 10 s on an answer that does not come (%s)",
    async (fault) => {
      const fake = await startMembridge();
      fake.fail("*", fault);
      const started = performance.now();
      await expect(clientOf(fake.url).call(["health"], once)).rejects.toThrow(MembridgeUnreachable);
      const took = performance.now() - started;
      await fake.close();
      expect(took).toBeGreaterThan(9_900);
      expect(took).toBeLessThan(25_000);
    },
  );
});
