import { pino } from "pino";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { createMembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { checkSettingsKey, isSettingsKeyRight } from "../../src/saved-config/settings-key-check.ts";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { startMembridge } from "../support/scripted-membridge.ts";
import { startProcess } from "../support/service-process.ts";
import { folderForTest } from "../support/temporary-folder.ts";

const CONFIG = "/api/runtime/config";
const { db, query, url: DATABASE_URL } = await createTestDatabase();
const fake = await startMembridge();
afterAll(fake.close);
const environment = { MEMBRIDGE_SERVER_URL: fake.url };
const silent = pino({ level: "silent" });
const app = await startApp(db, { env: environment });
const masked = (key: string) => `${key.slice(0, 4)}****${key.slice(-4)}`;
const saved = { membridge_server_url: "https://membridge.example/base/", admin_key: "saved-admin-key-9876543210" };
const store = (key: string, value: string) =>
  query("insert into runtime_settings (key, value) values ($1, $2)", [key, value]);
const storedKey = async () =>
  (await query<{ value: string }>("select value from runtime_settings where key = 'admin_key'"))[0]?.value;
const audited = async () => (await app.api.get("/api/runtime/audit")).body;

beforeEach(async () => {
  fake.reset();
  await query("truncate runtime_settings, audit_logs");
});

describe("GET /api/runtime/config", () => {
  it("answers what the environment sets until something was saved", async () => {
    const { status, body } = await app.api.get(CONFIG);
    expect(status).toBe(200);
    const nothingTried = { connected: false, last_test: null, reason: null };
    expect(body).toEqual({ membridge_server_url: fake.url, admin_key_masked: masked(ADMIN_KEY), ...nothingTried });
  });

  it.each([
    ["", ""],
    ["k", "****"],
    ["fifteen-letters", "****"],
    ["sixteen-letters!", "sixt****ers!"],
  ])("masks the key %j as %j", async (key, mask) => {
    const { api } = await startApp(db, { env: { MEMBRIDGE_ADMIN_KEY: key } });
    expect((await api.get(CONFIG)).body.admin_key_masked).toBe(mask);
  });

  it("answers what an old service saved: its address, its plain-text key, its last test", async () => {
    await store("membridge_server_url", "http://10.0.0.9:8000");
    await store("admin_key", "plain-key-of-the-old-service");
    await store("connected", "true");
    await store("last_test", "1795440142520");
    expect((await app.api.get(CONFIG)).body).toEqual({
      membridge_server_url: "http://10.0.0.9:8000",
      admin_key_masked: masked("plain-key-of-the-old-service"),
      connected: true,
      last_test: 1795440142520,
      reason: null,
    });
  });

  it("takes what an old service saved as empty for not saved", async () => {
    await store("membridge_server_url", "");
    await store("admin_key", "");
    expect((await app.api.get(CONFIG)).body).toMatchObject({
      membridge_server_url: fake.url,
      admin_key_masked: masked(ADMIN_KEY),
    });
    expect((await app.api.get("/api/membridge/projects")).status).toBe(200);
  });

  it.each(["http://user:pass-word@127.0.0.1:8000/", "http:user:pass-word@[", "//user:pass-word@host"])(
    "gives %s, which an old service saved, away to nobody, and calls nobody",
    async (url) => {
      await store("membridge_server_url", url);
      const config = await app.api.get(CONFIG);
      expect([config.status, config.body.membridge_server_url]).toEqual([200, ""]);
      const answer = await app.api.get("/api/membridge/health");
      const error =
        "Membridge could not be reached: the saved address must not be called; save the configuration again";
      expect([answer.status, answer.body]).toEqual([502, { error }]);
      const tested = await app.api.post("/api/runtime/test-connection");
      expect(tested.body).toEqual({ connected: false, error });
      const { text } = await app.api.get("/api/runtime/health");
      expect(text + JSON.stringify(app.logged)).not.toContain("pass-word");
      expect(fake.requests).toEqual([]);
    },
  );

  it("shows no key when the saved one cannot be decrypted, and the log says why", async () => {
    await store("admin_key", createSecretBox("another secret").seal("admin_key", saved.admin_key));
    expect((await app.api.get(CONFIG)).body.admin_key_masked).toBe("");
    expect(JSON.stringify(app.logged)).toContain("SETTINGS_KEY");
  });
});

describe("POST /api/runtime/config", () => {
  it("saves and answers the new configuration, which is audited", async () => {
    const { status, body } = await app.api.post(CONFIG).send(saved);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      membridge_server_url: saved.membridge_server_url,
      admin_key_masked: masked(saved.admin_key),
    });
    expect((await app.api.get(CONFIG)).body).toEqual(body);
    expect(await audited()).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timestamp: expect.any(Number),
        action: "config_updated",
        entity_type: "runtime_config",
        entity_id: "singleton",
        actor: "admin",
        detail: `Updated membridge URL to ${saved.membridge_server_url}`,
      },
    ]);
  });

  it("survives a restart and wins over the environment", async () => {
    const { body } = await app.api.post(CONFIG).send(saved);
    const other = { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:1", MEMBRIDGE_ADMIN_KEY: "key-of-the-environment" };
    const restarted = await startApp(db, { env: other });
    expect((await restarted.api.get(CONFIG)).body).toEqual(body);
  });

  it("is used at once by another instance: address and key", async () => {
    const newKey = "another-admin-key-of-membridge";
    const moved = await startMembridge({ adminKey: newKey });
    const second = await startApp(db, { env: environment });
    await second.api.get("/api/membridge/projects");
    await app.api.post(CONFIG).send({ membridge_server_url: moved.url, admin_key: newKey });
    const { status } = await second.api.get("/api/membridge/projects");
    await moved.close();
    expect(status).toBe(200);
    expect(moved.requests.map(({ headers }) => headers["x-membridge-admin"])).toEqual([newKey]);
    expect(fake.requests).toHaveLength(1);
  });

  it.each<[string, object, string[]]>([
    ["nothing", {}, ["admin_key", "membridge_server_url"]],
    ["no key", { ...saved, admin_key: undefined }, ["admin_key"]],
    ["an empty key", { ...saved, admin_key: "" }, ["admin_key"]],
    ["a key that is no text", { ...saved, admin_key: 5 }, ["admin_key"]],
    ["a key that no header can carry", { ...saved, admin_key: "line\nbreak" }, ["admin_key"]],
    ["no address", { ...saved, membridge_server_url: undefined }, ["membridge_server_url"]],
    ["an address that is none", { ...saved, membridge_server_url: "membridge" }, ["membridge_server_url"]],
    ["an address of another kind", { ...saved, membridge_server_url: "file:///etc" }, ["membridge_server_url"]],
  ])("refuses %s, names the fields, and saves nothing", async (_name, request, fields) => {
    const { status, body } = await app.api.post(CONFIG).send(request);
    expect(status).toBe(400);
    expect(body.error.formErrors).toEqual([]);
    expect(Object.keys(body.error.fieldErrors).sort()).toEqual(fields);
    expect((await app.api.get(CONFIG)).body.membridge_server_url).toBe(fake.url);
    expect(await audited()).toEqual([]);
  });
});

describe("the admin key", () => {
  it("is stored encrypted", async () => {
    await app.api.post(CONFIG).send(saved);
    const stored = await storedKey();
    expect(stored).toBeDefined();
    expect(stored).not.toContain(saved.admin_key);
    expect(Buffer.from(stored?.split(":").at(-1) ?? "", "base64").toString("latin1")).not.toContain(saved.admin_key);
  });

  it("is in no answer, no audit entry and no log line", async () => {
    const answers = [
      await app.api.post(CONFIG).send(saved),
      await app.api.post(CONFIG).send({ ...saved, membridge_server_url: "no address" }),
      await app.api.post(CONFIG).send({ ...saved, membridge_server_url: fake.url }),
      await app.api.post("/api/runtime/test-connection"),
      await app.api.get("/api/membridge/projects"),
      await app.api.get(CONFIG),
      await app.api.get("/api/runtime/health"),
      await app.api.get("/api/runtime/audit"),
    ];
    expect(fake.requests.at(-1)?.headers["x-membridge-admin"]).toBe(saved.admin_key);
    for (const { text, headers } of answers) expect(text + JSON.stringify(headers)).not.toContain(saved.admin_key);
    expect(app.logged.length).toBeGreaterThan(answers.length);
    expect(JSON.stringify(app.logged)).not.toContain(saved.admin_key);
  });

  it("that lies there in plain text is used, and encrypted in place once, which is audited", async () => {
    await store("admin_key", ADMIN_KEY);
    const second = await startApp(db, { env: environment });
    await Promise.all([
      app.membridgeConfig.sealAnew(),
      second.membridgeConfig.sealAnew(),
      app.membridgeConfig.sealAnew(),
    ]);
    const sealed = await storedKey();
    expect(sealed).not.toContain(ADMIN_KEY);
    await app.membridgeConfig.sealAnew();
    expect(await storedKey()).toBe(sealed);
    expect((await app.api.get("/api/membridge/projects")).status).toBe(200);
    const entries = await audited();
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({
      action: "admin_key_encrypted",
      entity_type: "runtime_config",
      actor: "runtime",
    });
    expect(JSON.stringify(entries)).not.toContain(ADMIN_KEY);
  });

  it("is encrypted anew when SETTINGS_KEY is changed, and is used all the while", async () => {
    const settingsWith = (secret: string, ...previous: string[]) =>
      createMembridgeConfig(db, createSecretBox(secret, ...previous), { url: fake.url, adminKey: "" }, silent);
    await settingsWith("the first secret").save(NOBODY, saved);
    const before = await storedKey();
    const rotated = settingsWith("the second secret", "the first secret");
    expect((await rotated.address()).adminKey).toBe(saved.admin_key);
    await Promise.all([rotated.sealAnew(), rotated.sealAnew()]);
    expect(await storedKey()).not.toBe(before);
    expect((await settingsWith("the second secret").address()).adminKey).toBe(saved.admin_key);
    expect((await settingsWith("the first secret").address()).adminKey).toBe("");
    expect((await audited()).map(({ action }: { action: string }) => action)).toEqual([
      "admin_key_reencrypted",
      "config_updated",
    ]);
    const after = await storedKey();
    await settingsWith("a third secret", "a fourth secret").sealAnew();
    expect(await storedKey()).toBe(after);
  });

  it("is encrypted anew by a start with SETTINGS_KEY_PREVIOUS, after which that is needed no more", async () => {
    const dataDir = await folderForTest();
    const OLD = "the old key of the settings";
    const NEW = "the new key of the settings";
    const common = { DATABASE_URL, DATA_DIR: dataDir, MEMBRIDGE_SERVER_URL: fake.url };
    await store("admin_key", ADMIN_KEY);
    const seen: (string | undefined)[] = [];
    for (const keys of [
      { SETTINGS_KEY: OLD },
      { SETTINGS_KEY: NEW, SETTINGS_KEY_PREVIOUS: OLD },
      { SETTINGS_KEY: NEW },
    ]) {
      const service = await startProcess({ ...common, ...keys });
      expect((await fetch(`${service.url}/api/membridge/projects`)).status).toBe(200);
      expect(await service.stop()).toBe(0);
      expect(service.output()).not.toContain(ADMIN_KEY);
      seen.push(await storedKey());
    }
    expect([new Set(seen).size, seen[1] === seen[2]]).toEqual([2, true]);
    expect((await audited()).map(({ action }: { action: string }) => action)).toEqual([
      "settings_key_recorded",
      "admin_key_reencrypted",
      "settings_key_recorded",
      "admin_key_encrypted",
    ]);
  });

  it("is said to be lost to an instance that has another key, at its start", async () => {
    const warned = async (secret: string, ...previous: string[]) => {
      const lines: string[] = [];
      const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
      await checkSettingsKey(db, createSecretBox(secret, ...previous), log);
      return lines.join().includes("settings in this database are encrypted with another key");
    };
    await store("admin_key", ADMIN_KEY);
    expect([await warned("the first"), await warned("the first"), await warned("another")]).toEqual([
      false,
      false,
      true,
    ]);
    expect([await warned("the next", "the first"), await warned("the first")]).toEqual([false, true]);
    // Whoever saves the configuration says which key it is from now on.
    const other = createMembridgeConfig(db, createSecretBox("another"), { url: fake.url, adminKey: "" }, silent);
    await other.save(NOBODY, saved);
    expect([await warned("another"), await warned("the next")]).toEqual([false, true]);
  });

  it("that nobody has saved is not lost with the key: after a restore without it, the next start records its own", async () => {
    const lines: string[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
    const [lost, made] = [createSecretBox("the lost one"), createSecretBox("the one that was made since")];
    await checkSettingsKey(db, lost, log);
    expect(await isSettingsKeyRight(db, made)).toBe(true);
    await checkSettingsKey(db, made, log);
    await checkSettingsKey(db, made, log);
    expect(lines).toEqual([expect.stringContaining("nothing is encrypted with it")]);
    await createMembridgeConfig(db, made, { url: fake.url, adminKey: "" }, silent).save(NOBODY, saved);
    expect([await isSettingsKeyRight(db, made), await isSettingsKeyRight(db, lost)]).toEqual([true, false]);
  });

  it("of an old service that no header can carry is not given away by the fault", async () => {
    await store("admin_key", "first-line\nsecond-line");
    const answers = [await app.api.get("/api/membridge/health"), await app.api.get("/api/runtime/health")];
    for (const { text } of answers) expect(text).not.toContain("second-line");
    expect(JSON.stringify(app.logged)).not.toContain("second-line");
  });
});
