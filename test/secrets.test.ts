import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, inject, it } from "vitest";
import { createKey } from "../src/saved-config/named-keys.ts";
import { type SECRETS, SETTINGS } from "../src/setting-schema.ts";
import { createTestDatabase } from "./support/database.ts";
import { CALLS } from "./support/every-call.ts";
import { startNodeAgent } from "./support/node-agent.ts";
import { startS3 } from "./support/s3.ts";
import { startMembridge } from "./support/scripted-membridge.ts";
import { runToExit, startProcess } from "./support/service-process.ts";
import { launch } from "./support/spawn-service.ts";

const MARK = `mark${randomUUID().slice(0, 8)}`;
const secret = (of: string) => `${MARK}-${of}-0123456789abcdef`;

const { db, url, query } = await createTestDatabase();
const DATA_DIR = await mkdtemp(join(tmpdir(), "bloom-secrets-"));
const membridge = await startMembridge({ adminKey: secret("admin") });
const s3 = await startS3();
const role = `${MARK}_role`.replace("mark", "teller");
await query(`create role ${role} superuser login password '${secret("database")}'`);
const databaseUrl = new URL(url);
databaseUrl.username = role;
databaseUrl.password = secret("database");
afterAll(async () => {
  await membridge.close();
  await rm(DATA_DIR, { recursive: true, force: true });
});

const MARKED: Record<(typeof SECRETS)[number], string> = {
  DATABASE_URL: databaseUrl.href,
  RUNTIME_API_KEY: secret("main"),
  RUNTIME_API_KEY_PREVIOUS: secret("main-before"),
  METRICS_KEY: secret("metrics"),
  SETTINGS_KEY: secret("settings"),
  SETTINGS_KEY_PREVIOUS: secret("previous"),
  MEMBRIDGE_ADMIN_KEY: secret("admin"),
  MEMBRIDGE_AGENT_KEY: secret("agent"),
  // The object store knows another one: what it says of that must not leak either.
  MINIO_SECRET_KEY: secret("minio"),
  CALLBACK_SECRET: `whsec_${MARK}callback0123456789ab`,
  CALLBACK_SECRET_PREVIOUS: `whsec_${MARK}earlier00123456789ab`,
  OTEL_EXPORTER_OTLP_HEADERS: `api-key=${secret("collector")}`,
};
/** The settings that hold no secret: who adds one has to say in src/setting-schema.ts which it is. */
const NO_SECRETS = SETTINGS.filter((name) => !(name in MARKED));
const env = {
  ...s3.env(s3.connection()),
  ...MARKED,
  DATA_DIR,
  LOG_LEVEL: "trace",
  MEMBRIDGE_SERVER_URL: membridge.url,
  // Nobody listens there, so that what is said of that is looked at too.
  OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
  RATE_LIMIT_PER_MINUTE: "0",
  WRONG_KEY_LIMIT_PER_MINUTE: "0",
  SWEEP_INTERVAL_MS: "100",
  WORKER_SYNC_INTERVAL_MS: "100",
};

describe("no secret", () => {
  it("is in a setting that this test does not know", () => {
    expect(NO_SECRETS.filter((name) => /KEY|SECRET|PASSWORD|TOKEN/.test(name))).toEqual([
      "MINIO_ACCESS_KEY",
      "WRONG_KEY_LIMIT_PER_MINUTE",
    ]);
  });

  it("is in anything that the service writes, answers and stores, whatever it is asked", async () => {
    const service = await startProcess(env);
    const named = await createKey(db, undefined, "named", "admin");
    const answers: string[] = [];
    async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const response = await fetch(service.url + path, {
        method: method.toUpperCase(),
        headers: {
          accept: "application/json",
          "content-type": "application/json",
          "x-runtime-api-key": secret("main"),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${text}`);
      return { status: response.status, json: text.startsWith("{") ? JSON.parse(text) : undefined };
    }
    const R = "/api/runtime";

    // A task's life with everything in it.
    await ask("post", `${R}/workers`, { name: "rpi", capabilities: { max_concurrency: 9 } });
    const create = async () =>
      (await ask("post", `${R}/llm-tasks`, { context_id: "c", agent_slug: "a", prompt: "p" })).json.id;
    const id = await create();
    const { lease } = (await ask("post", `${R}/llm-tasks/${id}/lease`, { worker_id: "rpi" })).json;
    await ask("post", `${R}/llm-tasks/${id}/heartbeat`, {}, { "x-lease-id": lease.id });
    const uploaded = await ask("put", `${R}/llm-tasks/${id}/output`, "the output", { "x-lease-id": lease.id });
    const completion = { status: "success", output_id: uploaded.json.output_id, metrics: { duration_ms: 1 } };
    const completed = await ask("post", `${R}/llm-tasks/${id}/complete`, completion);
    expect(completed.status).toBe(200);
    const artifact = `${R}/artifacts/${completed.json.artifact.id}`;
    for (const part of ["", "/content", "/url"]) await ask("get", artifact + part);
    // An agent that is called with its key, and one that is not there.
    const keys = { apiKey: secret("main"), agentKey: secret("agent") };
    const agent = await startNodeAgent({ runtime: service.url, name: "agent", ...keys });
    expect((await ask("post", `${R}/llm-tasks/${await create()}/dispatch`, { worker_id: "agent" })).status).toBe(200);
    await ask("post", `${R}/workers`, { name: "gone", url: "http://127.0.0.1:9" });
    await ask("post", `${R}/llm-tasks/${await create()}/dispatch`, { worker_id: "gone" });
    // The configuration, in good and bad ways.
    const config = { membridge_server_url: membridge.url, admin_key: secret("admin") };
    await ask("post", `${R}/config`, config);
    for (const wrong of [
      { ...config, membridge_server_url: `http://user:${secret("url")}@127.0.0.1/` },
      { ...config, admin_key: `${secret("newline")}\n` },
      { ...config, admin_key: [secret("array")] },
      `{"admin_key": "${secret("json")}`,
    ])
      expect((await ask("post", `${R}/config`, wrong)).status).toBe(400);
    // A Membridge that says the key it was asked with: to a client, and to the sync.
    const page = { echo: (key: string) => `<p>${key}</p>`, type: "text/html" as const };
    const json = { echo: (key: string) => JSON.stringify({ [`detail of ${key}`]: [key], detail: `"${key}"` }) };
    for (const [status, said, answered] of [
      [200, json, '{"detail of ****":["****"],"detail":"\\"****\\""}'],
      [404, json, "Membridge returned 404"],
      [500, json, "Membridge returned 500"],
      [200, page, "error"],
      [500, page, "error"],
    ] as const) {
      membridge.reset();
      membridge.fail("*", { status, ...said });
      const answer = await ask("get", "/api/membridge/projects");
      expect([status, JSON.stringify(answer.json)]).toEqual([status, expect.stringContaining(answered)]);
    }
    membridge.reset();
    // Every call: as it is, with nonsense, with a wrong key.
    for (const [method, path] of CALLS) {
      await ask(method, path);
      if (method === "get") continue;
      await ask(method, path, { lease_id: "nonsense", name: 5, prompt: { a: secret("prompt") } });
      await ask(method, path, `{"${secret("broken")}`);
    }
    for (const [method, path] of CALLS) await ask(method, path, undefined, { "x-runtime-api-key": secret("wrong") });
    // With a named key, which is right, then wrong, then in the wrong place.
    for (const key of [named, `${named}x`, named.slice(0, -1)])
      for (const [method, path] of CALLS) await ask(method, path, undefined, { "x-runtime-api-key": key });
    await ask("get", `${R}/stats?key=${named}`, undefined, { "x-runtime-api-key": "", authorization: named });
    expect(answers.filter((said) => said.startsWith("429"))).toEqual([]);
    await ask("get", `${R}/stats?token=${secret("query")}`);
    // The way to the database is cut, and a table is gone.
    await query("alter table llm_tasks rename to gone");
    await ask("get", `${R}/llm-tasks`);
    await query("alter table gone rename to llm_tasks");
    await agent.close();
    expect(await service.stop()).toBe(0);

    const tables = await query<{ name: string }>("select tablename as name from pg_tables where schemaname = 'public'");
    const stored: string[] = [];
    for (const { name } of tables)
      for (const { row } of await query<{ row: string }>(`select t::text as row from "${name}" t`)) stored.push(row);
    expect([answers.length > 120, stored.length > 20, service.output().length > 10_000]).toEqual([true, true, true]);
    for (const said of [...answers, ...stored, ...service.output().split("\n")]) {
      expect(said).not.toContain(MARK);
      expect(said).not.toContain(named.slice(6, -1));
    }
    expect(service.output()).not.toContain("X-Amz-Signature");
  }, 60_000);

  it("is in a log line of a link that anybody may read an artifact at", async () => {
    const store = s3.env(s3.connection());
    const service = await startProcess({ ...env, ...store });
    async function ask(method: string, path: string, body?: object) {
      const response = await fetch(`${service.url}/api/runtime/${path}`, {
        method,
        headers: { "content-type": "application/json", "x-runtime-api-key": secret("main") },
        ...(body && { body: JSON.stringify(body) }),
      });
      return response.json() as Promise<{ id: string; url: string; artifact: { id: string } }>;
    }
    await ask("POST", "workers", { name: "linked" });
    const { id } = await ask("POST", "llm-tasks", { context_id: "c", agent_slug: "a", prompt: "p" });
    await ask("POST", `llm-tasks/${id}/lease`, { worker_id: "linked" });
    const completion = { status: "success", output: "in the bucket", metrics: { duration_ms: 1 } };
    const { artifact } = await ask("POST", `llm-tasks/${id}/complete`, completion);
    const { url: link } = await ask("GET", `artifacts/${artifact.id}/url`);
    expect(await (await fetch(link)).text()).toBe("in the bucket");
    await s3.drop(store.MINIO_ARTIFACT_BUCKET ?? "");
    for (const part of ["url", "content"]) await ask("GET", `artifacts/${artifact.id}/${part}`);
    expect(await service.stop()).toBe(0);
    expect(service.output()).toContain(`/api/runtime/artifacts/${artifact.id}/url`);
    const signature = new URL(link).searchParams.get("X-Amz-Signature") ?? "";
    expect(signature).toMatch(/^[0-9a-f]{64}$/);
    for (const part of ["X-Amz", signature, MARK]) expect(service.output()).not.toContain(part);
    expect(JSON.stringify(await query("select detail from audit_logs"))).not.toContain("X-Amz");
  }, 60_000);

  it("is in what a crash leaves behind", async () => {
    // Runs before the service: has its settings, and what a failed query carries.
    const crasher = `
      const secret = process.env.RUNTIME_API_KEY;
      const failed = Object.assign(new Error("Failed query: select $1 params: " + secret), { params: [secret] });
      process.on("SIGUSR2", () => {
        process.stdout.write(JSON.stringify(process.report.getReport().environmentVariables) + "\\n");
        throw new Error("crashed on purpose", { cause: failed });
      });`;
    const service = launch(env, ["--import", `data:text/javascript,${encodeURIComponent(crasher)}`]);
    await service.listening;
    service.kill("SIGUSR2");
    expect(await service.exited).toBe(1);
    for (const part of ["crashed on purpose", "A query failed.", "MINIO_ENDPOINT"])
      expect(service.output()).toContain(part);
    expect(service.output()).not.toContain(MARK);
  }, 60_000);

  it("is in what the process says when it cannot start", async () => {
    const unreachable = new URL(databaseUrl);
    unreachable.port = "9";
    // A server that trusts everybody takes any password, but no role that it does not have.
    const stranger = new URL(inject("serverUrl"));
    stranger.username = "nobody-of-this-name";
    stranger.password = secret("password");
    const wrongs: Record<string, string>[] = [
      { DATABASE_URL: unreachable.href },
      { DATABASE_URL: `mysql://user:${secret("database")}@127.0.0.1/x` },
      { DATABASE_URL: stranger.href },
      { MEMBRIDGE_ADMIN_KEY: `${secret("admin")} with spaces`, SETTINGS_KEY: MARK, MINIO_ENDPOINT: `http://${MARK}` },
      { MEMBRIDGE_SERVER_URL: `http://user:${secret("url")}@127.0.0.1/` },
      { OUTBOUND_ALLOW: `${MARK}/x` },
    ];
    for (const wrong of wrongs) {
      const { code, output } = await runToExit({ ...env, ...wrong });
      expect([code, output.length > 0]).toEqual([1, true]);
      expect(output).not.toContain(MARK);
    }
  }, 60_000);
});
