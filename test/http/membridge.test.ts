import { request } from "node:http";
import { text as readText } from "node:stream/consumers";
import { pino } from "pino";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { syncOnce } from "../../src/fleet/membridge-sync.ts";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { AUDIT_ENTRY, RUNTIME_CONFIG } from "../support/record-shapes.ts";
import { aProject, type Fault, startMembridge } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const fake = await startMembridge();
const gone = await startMembridge();
await gone.close();
afterAll(fake.close);
const app = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url } });
const apart = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: gone.url } });
const silent = pino({ level: "silent" });
const P1 = "aeeafec3a5b5710f";
const proxy = "/api/membridge";
const select = `${proxy}/projects/${P1}/leadership/select`;
const gets = ["health", "projects", `projects/${P1}/leadership`, `projects/${P1}/nodes`].map(
  (path) => `${proxy}/${path}`,
);
const choice = { primary_node_id: "rpi", lease_seconds: 7_200 };
const TEST = "/api/runtime/test-connection";
const audited = async () => (await app.api.get("/api/runtime/audit")).body;
const calls = () => fake.requests.map(({ method, path }) => `${method} ${path}`);
/** Sends the path as it stands, which no URL parser has tidied up. */
const getRaw = (path: string) =>
  new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const { port } = new URL(app.url);
    const asking = request({ host: "127.0.0.1", port, path }, (answer) =>
      readText(answer).then((text) => resolve({ status: answer.statusCode, text }), reject),
    );
    asking.on("error", reject).end();
  });

beforeEach(async () => {
  fake.reset();
  // Closes the circuit, whatever the test before has done to it.
  await app.api.post(TEST);
  fake.reset();
  fake.projects = [aProject("garden-seedling", P1)];
  fake.nodes = {
    [P1]: [{ node_id: "rpi", canonical_id: P1, role: "primary", obs_count: 12, last_seen: 1795440142.5 }],
  };
  await query("truncate runtime_settings, audit_logs");
});

describe("the proxy", () => {
  it("passes on the JSON of Membridge", async () => {
    const nodes = fake.nodes[P1];
    const health = { status: "ok", service: "membridge-control-plane", version: "0.3.0", projects: 1, agents: 0 };
    const leadership = { canonical_id: P1, preferred_primary: null, node_count: 1, nodes };
    for (const [index, expected] of [health, fake.projects, leadership, nodes].entries()) {
      const { status, body } = await app.api.get(gets[index] ?? "");
      expect([status, body]).toEqual([200, expected]);
    }
    expect(calls()).toEqual(gets.map((path) => `GET ${path.replace(proxy, "")}`));
    expect(fake.requests.every(({ headers }) => headers["x-membridge-admin"] === ADMIN_KEY)).toBe(true);
  });

  it("passes on the choice of a leader as it is, which is audited", async () => {
    const body = { ...choice, reason: "for a test" };
    const { status, body: answer } = await app.api.post(select).send(body);
    expect(status).toBe(200);
    expect(answer).toMatchObject({ ok: true, canonical_id: P1, ...choice });
    expect(fake.requests[0]).toMatchObject({ method: "POST", path: `/projects/${P1}/leadership/select`, body });
    expect(await audited()).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timestamp: expect.any(Number),
        action: "leadership_promote",
        entity_type: "membridge_project",
        entity_id: P1,
        actor: "admin",
        detail: `Promoted primary to rpi for project ${P1}`,
      },
    ]);
  });

  it.each(["leadership", "nodes"])("passes on the status when Membridge refuses to show %s", async (what) => {
    const unknown = await app.api.get(`${proxy}/projects/nobody/${what}`);
    expect([unknown.status, unknown.body]).toEqual([404, { error: "Membridge returned 404" }]);
    fake.fail("*", { status: 403, json: { detail: "not for you" } });
    const forbidden = await app.api.get(`${proxy}/projects/${P1}/${what}`);
    expect([forbidden.status, forbidden.body]).toEqual([403, { error: "Membridge returned 403" }]);
  });

  it.each<[number, Fault, string]>([
    [404, { status: 404, json: { detail: "Project not found" } }, "Project not found"],
    [409, { status: 409, json: { error: "Another node leads" } }, "Another node leads"],
    [500, { status: 500, json: { detail: "disk full" } }, "disk full"],
    [503, { status: 503, html: "<h1>down</h1>" }, "Membridge returned 503"],
    [400, { status: 400, json: {} }, "Membridge returned 400"],
  ])("passes on status %i and Membridge's own words when it refuses a leader", async (status, fault, error) => {
    fake.fail("*", fault);
    const answer = await app.api.post(select).send(choice);
    expect([answer.status, answer.body]).toEqual([status, { error }]);
    expect(await audited()).toEqual([]);
  });

  it("lets Membridge say what is missing in the choice of a leader", async () => {
    const { status, body } = await app.api.post(select).send({ lease_seconds: 60 });
    expect(status).toBe(422);
    expect(body).toEqual({ error: expect.stringContaining("Field required") });
    expect(await audited()).toEqual([]);
  });

  it.each(["health", "projects"])("answers 502 when Membridge refuses its %s, as when it is away", async (path) => {
    fake.fail("*", { status: 401, json: { detail: "Unauthorized" } });
    const { status, body } = await app.api.get(`${proxy}/${path}`);
    expect([status, body]).toEqual([502, { error: "Membridge returned 401" }]);
  });

  it("answers 502 when Membridge answers no JSON", async () => {
    fake.fail("*", { status: 200, html: "<h1>Welcome</h1>" });
    for (const asking of [...gets.map((path) => app.api.get(path)), app.api.post(select).send(choice)]) {
      const { status, body } = await asking;
      expect([status, body]).toEqual([502, { error: expect.any(String) }]);
    }
    expect(await audited()).toEqual([]);
  });

  it("sends the id of a project on as one segment, and refuses one that would lead elsewhere", async () => {
    await getRaw(`${proxy}/projects/a%2Fb%3Fc%23d%252F/nodes`);
    await getRaw(`${proxy}/projects/..%2Fagents/nodes`);
    expect(calls()).toEqual(["GET /projects/a%2Fb%3Fc%23d%252F/nodes", "GET /projects/..%2Fagents/nodes"]);
    for (const cid of [".", "..", "%2e", "%2e%2E", ".%2e", "%00", "%zz"]) {
      const { status, text } = await getRaw(`${proxy}/projects/${cid}/nodes`);
      expect([cid, status, JSON.parse(text)]).toEqual([
        cid,
        400,
        expect.objectContaining({ error: expect.any(String) }),
      ]);
    }
    expect(fake.requests).toHaveLength(2);
  });

  const unicode = (sign: string) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const writings: [string, (key: string) => string][] = [
    ["itself", (key) => key],
    ["with escaped slashes", (key) => key.replaceAll("/", "\\/")],
    ["with escaped signs", (key) => key.replaceAll(/[<>&]/g, unicode)],
    ["escaped wholly", (key) => key.replaceAll(/./g, unicode)],
  ];

  it.each(writings)("hides the admin key when Membridge gives it back, %s", async (_name, write) => {
    const key = "key/with<signs>&more-0123";
    const { api, logged } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url, MEMBRIDGE_ADMIN_KEY: key } });
    const echo = (got: string) => `{"detail": "got ${write(got)}", "${write(got)}": ["${write(got)}"]}`;
    for (const status of [200, 422, 500]) fake.fail("*", { status, echo }, 1);
    fake.fail("*", { status: 200, echo, type: "text/html" });
    const answers = [200, 422, 500].map(() => api.post(select).send(choice));
    for (const asking of [...answers, api.get(`${proxy}/health`), api.post(TEST), api.get("/api/runtime/health")])
      expect(JSON.stringify((await asking).body)).not.toContain(key);
    expect(fake.requests.every(({ headers }) => headers["x-membridge-admin"] === key)).toBe(true);
    expect(JSON.stringify([logged, await audited()])).not.toContain(key);
  });

  it("reads the answers of Membridge also with a key so short that it occurs in them", async () => {
    const { api } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url, MEMBRIDGE_ADMIN_KEY: "1" } });
    expect((await api.get(`${proxy}/health`)).body).toMatchObject({ status: "ok", projects: 1 });
  });
});

describe("POST /api/runtime/test-connection", () => {
  it("answers Membridge's own health, records it, and is audited", async () => {
    const before = Date.now();
    const { status, body } = await app.api.post(TEST);
    const health = { status: "ok", service: "membridge-control-plane", version: "0.3.0", projects: 1, agents: 0 };
    expect([status, body]).toEqual([200, { connected: true, health }]);
    const config = (await app.api.get("/api/runtime/config")).body;
    expect(config.connected).toBe(true);
    expect(config.last_test).toBeGreaterThanOrEqual(before - 1);
    const entry = { action: "connection_test", entity_type: "runtime_config", entity_id: "singleton", actor: "admin" };
    const detail = `Connection OK: ${JSON.stringify(health)}`;
    expect(await audited()).toEqual([expect.objectContaining({ ...entry, detail })]);
  });

  it("says that the admin key is refused, as do health and configuration, and the log once, until it is right", async () => {
    const other = await createTestDatabase();
    const { api, logged, membridge } = await startApp(other.db, {
      env: { MEMBRIDGE_SERVER_URL: fake.url, MEMBRIDGE_ADMIN_KEY: "not-the-key-of-membridge" },
    });
    const error = "Membridge refuses the admin key (401); save the right one with POST /api/runtime/config";
    const config = async () => (await api.get("/api/runtime/config")).body;
    const refused = { connected: false, reason: error };
    for (let n = 0; n < 3; n++) await syncOnce(other.db, membridge, silent);
    expect(await config()).toMatchObject(refused);
    expect((await api.post(TEST).expect(200)).body).toEqual({ connected: false, error });
    // Membridge's own health needs no key, and so is no proof of it.
    await api.get(`${proxy}/health`).expect(200);
    expect(await config()).toMatchObject(refused);
    const { body: health } = await api.get("/api/runtime/health").expect(200);
    expect(health.membridge).toMatchObject({
      connected: false,
      lastError: error,
      lastSuccess: null,
      circuit: "closed",
    });
    expect(logged.filter(({ level, msg }) => Number(level) >= 40 && msg === error)).toHaveLength(1);
    expect(await other.query("select 1 from audit_logs where action = 'connection_test'")).toEqual([]);

    const right = { membridge_server_url: fake.url, admin_key: ADMIN_KEY };
    expect((await api.post("/api/runtime/config").send(right).expect(200)).body.reason).toBe(null);
    expect((await api.post(TEST).expect(200)).body.connected).toBe(true);
    expect(await config()).toMatchObject({ connected: true, reason: null });
  });

  it("says that no admin key is set, asks /projects of a Membridge without /agents, and says what that answers", async () => {
    const { api } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url, MEMBRIDGE_ADMIN_KEY: "" } });
    expect((await api.post(TEST)).body.error).toContain("wants an admin key, and none is set (401)");
    fake.fail("/agents", { status: 404, json: { detail: "Not Found" } }, 2);
    expect((await app.api.post(TEST)).body.connected).toBe(true);
    fake.fail("/projects", { status: 500, json: {} });
    expect((await app.api.post(TEST)).body).toEqual({
      connected: false,
      error: "Membridge returned 500 for GET /projects",
    });
  });

  it("answers 200 too when Membridge fails twice, and records it", async () => {
    fake.fail("/health", { status: 503, json: { detail: "starting" } });
    const { status, body } = await app.api.post(TEST);
    expect([status, body]).toEqual([200, { connected: false, error: "Membridge returned 503" }]);
    expect(calls()).toEqual(["GET /health", "GET /health"]);
    expect((await app.api.get("/api/runtime/config")).body).toMatchObject({
      connected: false,
      last_test: expect.any(Number),
    });
    expect(await audited()).toEqual([]);
  });
});

it("a client that goes away takes its call to Membridge with it", async () => {
  fake.fail("*", "hang");
  const { port } = new URL(app.url);
  const asking = request({ host: "127.0.0.1", port, path: "/api/membridge/projects" });
  asking.on("error", () => {}).end();
  await expect.poll(calls).toEqual(["GET /projects"]);
  asking.destroy();
  await expect.poll(() => fake.givenUp).toBe(1);
  const { membridge } = (await app.api.get("/api/runtime/health")).body;
  expect(membridge).toMatchObject({ consecutiveFailures: 0, circuit: "closed" });
});

it("a circuit that is open is shown by the health, and costs a client milliseconds", async () => {
  const { api } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: fake.url } });
  fake.fail("*", { status: 200, html: "<h1>no JSON, which no retry mends</h1>" });
  const circuit = async () => (await api.get("/api/runtime/health").expect(200)).body.membridge.circuit;
  for (let n = 0; n < 5; n++) {
    expect(await circuit()).toBe("closed");
    await api.get(`${proxy}/projects`).expect(502);
  }
  expect(await circuit()).toBe("open");
  const started = performance.now();
  const { body } = await api.get(`${proxy}/projects`).expect(502);
  expect(performance.now() - started).toBeLessThan(5_000);
  expect([body.error, fake.requests.length]).toEqual([expect.stringContaining("asked again after 10 s"), 5]);
});

describe("the frontend's own pages", () => {
  const json = (call: ReturnType<typeof app.api.get>) => call.set("Accept", "application/json");

  it("of the settings: show, save, test, and the numbers beside them", async () => {
    await query("truncate workers");
    const { body: before } = await json(app.api.get("/api/runtime/config")).expect(200);
    expect(before).toMatchObject(RUNTIME_CONFIG);
    const given = { membridge_server_url: `${fake.url}/`, admin_key: ADMIN_KEY };
    const { body: saved } = await app.api.post("/api/runtime/config").send(given).expect(200);
    expect(saved).toMatchObject({ ...RUNTIME_CONFIG, membridge_server_url: given.membridge_server_url });
    const { body: tested } = await app.api.post(TEST).expect(200);
    expect(tested).toEqual({ connected: true, health: expect.objectContaining({ status: "ok" }) });
    const { body: after } = await json(app.api.get("/api/runtime/config")).expect(200);
    expect(after).toMatchObject({ connected: true, last_test: expect.any(Number) });
    const { body: health } = await json(app.api.get("/api/runtime/health")).expect(200);
    expect(health).toMatchObject({
      status: "ok",
      membridge: { connected: true, consecutiveFailures: 0 },
    });
    const { body: stats } = await json(app.api.get("/api/runtime/stats")).expect(200);
    const counts = {
      tasks: { total: 0, by_status: {} },
      leases: { total: 0, active: 0 },
      workers: { total: 0, online: 0 },
    };
    expect(stats).toMatchObject(counts);
    for (const list of ["workers", "llm-tasks", "leases", "runs", "artifacts"])
      expect((await json(app.api.get(`/api/runtime/${list}`)).expect(200)).body).toEqual([]);
    const [newest] = (await json(app.api.get("/api/runtime/audit?limit=20")).expect(200)).body;
    expect(newest).toMatchObject({ ...AUDIT_ENTRY, action: "connection_test" });
  });

  it("of Membridge: its health, its projects with who leads each, and the button that changes that", async () => {
    expect((await json(app.api.get(`${proxy}/health`)).expect(200)).body).toMatchObject({ status: "ok", projects: 1 });
    const [project] = (await json(app.api.get(`${proxy}/projects`)).expect(200)).body;
    expect(project).toEqual(fake.projects[0]);
    const at = `${proxy}/projects/${project.canonical_id}`;
    const { body: leadership } = await json(app.api.get(`${at}/leadership`)).expect(200);
    expect(leadership).toMatchObject({ canonical_id: P1, preferred_primary: null, node_count: 1 });
    const [node] = (await json(app.api.get(`${at}/nodes`)).expect(200)).body;
    const asked = { primary_node_id: node.node_id, lease_seconds: 3_600 };
    const { body: chosen } = await app.api.post(`${at}/leadership/select`).send(asked).expect(200);
    expect(chosen).toMatchObject({ ok: true, ...asked });
  });
});

describe("while Membridge is away", () => {
  it("the proxy answers 502, the test 200, the health says so, and the key is in none of them", async () => {
    const asking = [...gets.map((path) => apart.api.get(path)), apart.api.post(select).send(choice)];
    const [tested, ...answers] = await Promise.all([apart.api.post(TEST), ...asking]);
    expect([tested.status, tested.body]).toEqual([200, { connected: false, error: expect.any(String) }]);
    for (const { status, body } of answers) expect([status, body]).toEqual([502, { error: expect.any(String) }]);
    const health = await apart.api.get("/api/runtime/health");
    expect([health.status, health.body.membridge.connected]).toEqual([200, false]);
    expect(health.body.membridge.consecutiveFailures).toBe(6);
    expect([...answers, tested, health].map(({ text }) => text).join()).not.toContain(ADMIN_KEY);
  });
});
