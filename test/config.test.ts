import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../src/config.ts";
import { StartError } from "../src/errors.ts";
import { SETTINGS } from "../src/setting-schema.ts";

function faultsOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(StartError);
    return (error as StartError).message;
  }
  throw new Error(`Nothing was wrong with ${JSON.stringify(env)}.`);
}

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");

/** The settings of .env.example: names and values. */
const examples = () =>
  [...read(".env.example").matchAll(/^# ([A-Z_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value] as const);

describe("the configuration", () => {
  it("has the defaults of operations.md for what is not set, or set to nothing", () => {
    const config = loadConfig({ BLOOM_RUNTIME_PORT: "", MEMBRIDGE_SERVER_URL: "  ", RUNTIME_API_KEY: undefined });
    expect(config).toMatchObject({
      production: false,
      databaseUrl: undefined,
      port: 3002,
      apiKey: undefined,
      membridge: { url: "http://127.0.0.1:8000", adminKey: "" },
      minio: undefined,
      limits: { requestsPerMinute: 100, connectionTestsPerMinute: 20, bodyBytes: 10 * 1024 * 1024 },
      sweepIntervalMs: 15_000,
      workerSyncIntervalMs: 10_000,
      corsOrigins: [],
      trustProxyHops: 0,
    });
    expect(loadConfig({ NODE_ENV: "production", ALLOW_OPEN: "true" }).trustProxyHops).toBe(1);
    expect(loadConfig({ NODE_ENV: "production", RUNTIME_API_KEY: "k", TRUST_PROXY_HOPS: "0" }).trustProxyHops).toBe(0);
  });

  it("has a default for every limit and name, cannot be changed, and is .env.example's", () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      databasePoolMax: 6,
      dataDir: expect.stringMatching(/[/\\]\.data$/),
      logLevel: "info",
      settingsKey: undefined,
      membridge: { agentKey: "" },
      limits: { workerCallbacksPerMinute: 6_000 },
    });
    expect(Object.isFrozen(config)).toBe(true);
    const { DATABASE_URL: _anExample, ...defaults } = Object.fromEntries(examples());
    expect(Object.keys(defaults)).toContain("MAX_BODY_MB");
    expect(loadConfig(defaults)).toEqual(config);
  });

  it.each(
    Object.entries({
      DATABASE_URL: "mysql://bloom:hush-hush@localhost/bloom",
      SETTINGS_KEY: "hush-hush",
      MEMBRIDGE_ADMIN_KEY: "hush-hush key",
      MEMBRIDGE_AGENT_KEY: "hush-hush key",
      MEMBRIDGE_SERVER_URL: "http://bloom:hush-hush@membridge:8000",
    }),
  )("a wrong %s does not give its secret away", (name, value) => {
    expect(faultsOf({ [name]: value })).not.toContain("hush-hush");
  });

  it("says how to write a password with a # or a / in DATABASE_URL, without giving it away", () => {
    for (const password of ["hush#hush", "12#hush", "hush/hush", "hush?hush"]) {
      const faults = faultsOf({ DATABASE_URL: `postgresql://bloom:${password}@localhost/bloom` });
      expect(faults).toContain("# as %23");
      expect(faults).not.toContain("hush");
    }
  });

  it("says of another database's address only how it must begin", () => {
    expect(faultsOf({ DATABASE_URL: "mysql://x" })).toMatch(/must begin with postgresql:\/\/$/);
  });

  it("takes MinIO's settings together", () => {
    const minio = {
      MINIO_ENDPOINT: "minio.local",
      MINIO_ACCESS_KEY: "a",
      MINIO_SECRET_KEY: "s",
      MINIO_USE_SSL: "true",
    };
    expect(loadConfig(minio).minio).toEqual({
      endPoint: "minio.local",
      port: 9000,
      useSSL: true,
      accessKey: "a",
      secretKey: "s",
      region: "us-east-1",
      bucket: "bloom-artifacts",
    });
    expect(faultsOf({ MINIO_ENDPOINT: "minio.local" })).toMatch(/MINIO_ACCESS_KEY.*\n.*MINIO_SECRET_KEY/);
  });

  it.each(
    Object.entries({
      DATABASE_URL: "mysql://x",
      DB_POOL_MAX: "0",
      INSTANCES: "65",
      NODE_ENV: "Production",
      ALLOW_OPEN: "yes",
      BIND_ADDRESS: "http://127.0.0.1",
      RUNTIME_API_KEY: "schlüssel",
      RUNTIME_API_KEY_PREVIOUS: "two\nlines",
      MINIO_REGION: "us east",
      BLOOM_RUNTIME_PORT: "65536",
      LOG_LEVEL: "loud",
      SETTINGS_KEY: "short",
      MEMBRIDGE_SERVER_URL: "membridge",
      MEMBRIDGE_ADMIN_KEY: "two\nlines",
      MEMBRIDGE_AGENT_KEY: "schlüssel",
      MINIO_ENDPOINT: "http://minio",
      MINIO_PORT: "many",
      MINIO_ARTIFACT_BUCKET: "A",
      MINIO_USE_SSL: "yes",
      RATE_LIMIT_PER_MINUTE: "-1",
      TEST_CONNECTION_LIMIT_PER_MINUTE: "1.5",
      WORKER_CALLBACK_LIMIT_PER_MINUTE: "x",
      MAX_BODY_MB: "0",
      SWEEP_INTERVAL_MS: "1",
      WORKER_SYNC_INTERVAL_MS: "x",
      CORS_ORIGINS: "https://garden.example/path",
      TRUST_PROXY_HOPS: "17",
    }),
  )("a wrong %s is named", (name, value) => {
    expect(faultsOf({ [name]: value })).toMatch(new RegExp(`wrong setting.*\\n  ${name}: `));
  });

  it("divides among processes what is bounded for all of them, and has them share the limits by the minute", () => {
    const open = { RUNTIME_API_KEY: "k", STRANGER_CONNECTIONS_PER_ADDRESS: "100" };
    const of = (env: Record<string, string>) => {
      const { processes, databasePoolMax, limits } = loadConfig({ ...open, ...env });
      return [processes, databasePoolMax, limits.unkeyedConnectionsPerAddress, limits.areShared];
    };
    expect(of({})).toEqual([1, 6, 100, false]);
    expect(of({ INSTANCES: "2" })).toEqual([2, 6, 50, true]);
    expect(of({ INSTANCES: "3", DB_POOL_MAX: "20", RATE_LIMIT_SHARED: "false" })).toEqual([3, 6, 34, true]);
    expect(of({ INSTANCES: "16" })).toEqual([16, 3, 7, true]);
    expect(of({ INSTANCES: "auto" })[0]).toBe(Math.min(availableParallelism(), 60));
    expect(of({ INSTANCES: "auto", DB_POOL_MAX: "1" })).toEqual([1, 1, 100, false]);
    expect(faultsOf({ INSTANCES: "3", DB_POOL_MAX: "2" })).toContain("\n  DB_POOL_MAX: must be 3 or more");
    expect(faultsOf({ INSTANCES: "0" })).toContain("\n  INSTANCES: must be a whole number from 1 to 64, or auto");
  });

  it("does not open production to everybody, unless it is told that something in front guards it", () => {
    const production = { NODE_ENV: "production", DATABASE_URL: "postgresql://localhost/bloom" };
    for (const key of ["", " \r"]) {
      const fault = faultsOf({ ...production, RUNTIME_API_KEY: key });
      expect(fault).toMatch(/RUNTIME_API_KEY: is needed with NODE_ENV=production.* ALLOW_OPEN=true/);
    }
    expect(loadConfig({ ...production, ALLOW_OPEN: "true" })).toMatchObject({ apiKey: undefined, allowOpen: true });
    expect(loadConfig({ ...production, RUNTIME_API_KEY: "a key" })).toMatchObject({
      apiKey: "a key",
      allowOpen: false,
    });
  });

  it("has two main keys while the first is changed, and never the previous one alone", () => {
    const keys = { RUNTIME_API_KEY: "new", RUNTIME_API_KEY_PREVIOUS: "old" };
    expect(loadConfig(keys)).toMatchObject({ apiKey: "new", apiKeyPrevious: "old" });
    expect(faultsOf({ RUNTIME_API_KEY_PREVIOUS: "old" })).toContain("\n  RUNTIME_API_KEY: is needed when");
  });

  it("counts no white space around a value, as an editor or a shell may leave it there", () => {
    const around = (value: string) => ` \u00a0${value}\r\n`;
    const key = "a key of 16 characters";
    const config = loadConfig({
      RUNTIME_API_KEY: around(key),
      SETTINGS_KEY: around(key),
      SETTINGS_KEY_PREVIOUS: "the key before that",
      MEMBRIDGE_ADMIN_KEY: around("admin-key"),
      MEMBRIDGE_AGENT_KEY: around("agent-key"),
      MINIO_ENDPOINT: around("minio"),
      MINIO_ACCESS_KEY: around("access"),
      MINIO_SECRET_KEY: around("secret"),
      DATABASE_URL: around("postgresql://localhost/bloom"),
      NODE_ENV: around("production"),
    });
    expect(config).toMatchObject({
      apiKey: key,
      settingsKey: key,
      membridge: { adminKey: "admin-key", agentKey: "agent-key" },
      minio: { accessKey: "access", secretKey: "secret" },
      databaseUrl: "postgresql://localhost/bloom",
      production: true,
    });
    // Versions that did not trim have sealed settings with the key as it was given.
    expect(config.settingsKeysPrevious).toEqual(["the key before that", around(key)]);
  });

  it.each(["my_minio", "minio-1.local", "10.0.0.5"])("takes the host name %s, as Docker Compose makes them", (name) => {
    const env = { MINIO_ENDPOINT: name, MINIO_ACCESS_KEY: "a", MINIO_SECRET_KEY: "s" };
    expect(loadConfig(env).minio?.endPoint).toBe(name);
    expect(loadConfig({ MEMBRIDGE_SERVER_URL: `http://${name}:8000` }).membridge.url).toContain(name);
    expect(loadConfig({ DATABASE_URL: `postgresql://u@${name}/d` }).databaseUrl).toContain(name);
  });

  it("lists all faults together", () => {
    const fault = faultsOf({ BLOOM_RUNTIME_PORT: "x", LOG_LEVEL: "x", DB_POOL_MAX: "x" });
    for (const name of ["BLOOM_RUNTIME_PORT", "LOG_LEVEL", "DB_POOL_MAX"])
      expect(fault).toContain(`\n  ${name}: must be `);
  });

  it(".env.example and docs/operations.md list every setting, and no other", () => {
    const example = examples().map(([name]) => name);
    expect(example.toSorted()).toEqual(SETTINGS.toSorted());
    const table = /## Settings([\s\S]*?)\n## /.exec(read("docs/operations.md"))?.[1] ?? "";
    const rows = table.split("\n").filter((line) => line.startsWith("| `"));
    const documented = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([A-Z_]+)`/g)].map((match) => match[1]),
    );
    expect(documented.toSorted()).toEqual(SETTINGS.toSorted());
  });
});
