import { sql } from "drizzle-orm";
import { beforeEach, describe, expect, it } from "vitest";
import { syncOnce } from "../../src/fleet/membridge-sync.ts";
import { getWorker, listWorkers } from "../../src/fleet/workers.ts";
import { createLog } from "../../src/log.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aWorker } from "../support/factories.ts";
import { membridgeOfDatabase } from "../support/membridge-of-database.ts";
import { anAgent, secondsAgo } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const { fake, membridge, sync } = await membridgeOfDatabase(db);
beforeEach(async () => {
  fake.reset();
  await query("truncate workers, audit_logs");
});

/** A pass in which Membridge lists these agents. */
const report = (...agents: unknown[]) => {
  fake.agents = agents;
  return sync();
};
const worker = (name: string) => getWorker(db, name);
const capabilitiesOf = async (name: string) => (await worker(name)).capabilities;
const names = async () => (await listWorkers(db, { limit: 2_000 })).page.map(({ id }) => id);
const audited = () =>
  query<{ action: string }>("select action, entity_id, actor, detail from audit_logs order by timestamp, id");
/** Every row as it is stored, and the transaction that wrote it. */
const stored = () =>
  query(`
    select 'worker' as kind, xmin::text, to_jsonb(workers) as row from workers
    union all select 'setting', xmin::text, to_jsonb(runtime_settings) from runtime_settings
    union all select 'audit', xmin::text, to_jsonb(audit_logs) from audit_logs order by 1, 3`);

describe("a sync", () => {
  it("adds an agent that was not known, with what is known of it", async () => {
    expect(await report(anAgent("alpine", { url: "http://10.0.0.1:8001" }))).toEqual({
      added: 1,
      changed: 0,
      offline: 0,
    });
    const { registered_at, ...added } = await worker("alpine");
    expect(added).toMatchObject({ id: "alpine", node_id: "alpine", url: "http://10.0.0.1:8001", status: "unknown" });
    expect(added.capabilities).toEqual({ claude_cli: true, max_concurrency: 1, labels: [] });
    expect(added).toMatchObject({ last_heartbeat: null, ip_addrs: [], obs_count: 0, db_sha: "", active_leases: 0 });
    expect(Math.abs(registered_at - Date.now())).toBeLessThan(5_000);
    const detail = "Worker alpine registered, status=unknown, max_concurrency=1";
    expect(await audited()).toEqual([{ action: "worker_registered", entity_id: "alpine", actor: "membridge", detail }]);
  });

  it("reads float seconds: the old service's sync broke on them for good", async () => {
    const last_seen = Math.floor(Date.now() / 1_000) - 2 + 0.5204961;
    await report(anAgent("alpine", { last_seen }));
    expect(await worker("alpine")).toMatchObject({ status: "online", last_heartbeat: Math.floor(last_seen * 1_000) });
  });

  it("takes capabilities where other versions put them: in an object, or beside it", async () => {
    const capabilities = { claude_cli: false, max_concurrency: 4, labels: ["gpu"] };
    const rest = { ip_addrs: ["10.0.0.1"], obs_count: 7, db_sha: "abc" };
    await report(
      anAgent("nested", { capabilities, ...rest }),
      anAgent("flat", { max_concurrency: 3, labels: ["arm"] }),
    );
    expect(await worker("nested")).toMatchObject({ capabilities, ...rest });
    expect(await capabilitiesOf("flat")).toEqual({ claude_cli: true, max_concurrency: 3, labels: ["arm"] });
  });

  it("changes what is reported anew, which is audited, and keeps what is not reported", async () => {
    const kept = { labels: ["gpu"], ip_addrs: ["10.0.0.1"], obs_count: 7, db_sha: "abc" };
    await report(anAgent("alpine", { max_concurrency: 4, ...kept }));
    const before = await worker("alpine");
    expect(await report({ name: "alpine", max_concurrency: 2 })).toEqual({ added: 0, changed: 1, offline: 0 });
    const capabilities = { ...before.capabilities, max_concurrency: 2 };
    expect(await worker("alpine")).toEqual({ ...before, capabilities });
    expect((await audited()).map(({ action }) => action)).toEqual(["worker_registered", "worker_updated"]);
  });

  it("leaves max_concurrency as the node registered it: each sync of the old service reset it to 1", async () => {
    const { capabilities } = await aWorker(db, { name: "rpi", capabilities: { max_concurrency: 5 } });
    for (const seconds of [3, 2, 1]) await report(anAgent("rpi", { last_seen: secondsAgo(seconds) }));
    expect(await capabilitiesOf("rpi")).toEqual(capabilities);
  });

  it("never lowers what the node itself registered", async () => {
    const capabilities = { claude_cli: true, max_concurrency: 5, labels: ["systemd"] };
    const own = { url: "http://10.0.0.2:8001", capabilities, ip_addrs: ["10.0.0.2"] };
    await aWorker(db, { name: "rpi", ...own });
    const lower = { claude_cli: false, max_concurrency: 1, labels: [] };
    await report(anAgent("rpi", { url: "", capabilities: lower, ip_addrs: [], status: "offline" }));
    expect(await worker("rpi")).toMatchObject({ ...own, status: "online" });
  });

  it("takes in 1,000 agents in one pass, and what changes of them in the next", async () => {
    const agents = Array.from({ length: 1_000 }, (_, index) => anAgent(`node-${index}`));
    expect(await report(...agents)).toEqual({ added: 1_000, changed: 0, offline: 0 });
    expect(await report(...agents.map((agent) => ({ ...agent, last_seen: secondsAgo(1) })))).toMatchObject({
      changed: 1_000,
    });
    expect((await listWorkers(db, { limit: 2_000 })).page.every(({ status }) => status === "online")).toBe(true);
  });

  it("takes at most 200 times as long for 1,000 agents, all seen anew, as the database takes to change their rows (70 is usual)", async () => {
    const agents = Array.from({ length: 1_000 }, (_, index) => anAgent(`node-${index}`));
    await report(...agents);
    const timeOf = async (work: () => Promise<unknown>) => {
      const started = performance.now();
      await work();
      return performance.now() - started;
    };
    const ratios: number[] = [];
    // By turns, so that both meet the same machine.
    for (let pass = 0; pass < 9; pass++) {
      fake.agents = agents.map((agent) => ({ ...agent, last_seen: secondsAgo(1) }));
      const bare = await timeOf(() => db.execute(sql`update workers set last_heartbeat = last_heartbeat - 1`));
      const synced = await timeOf(async () => expect((await sync()).changed).toBe(1_000));
      ratios.push(synced / bare);
    }
    expect(ratios.toSorted((a, b) => a - b)[4], ratios.join(" ")).toBeLessThan(200);
  });

  it("writes nothing when Membridge says the same again", async () => {
    await aWorker(db);
    await report(anAgent("seen", { last_seen: secondsAgo(1), labels: ["gpu"] }), anAgent("fresh"));
    const before = await stored();
    expect(await sync()).toEqual({ added: 0, changed: 0, offline: 0 });
    expect(await stored()).toEqual(before);
  });
});

describe("an agent that is reported badly", () => {
  const fields = [
    "url",
    "status",
    "registered_at",
    "last_seen",
    "capabilities",
    "max_concurrency",
    "labels",
    "ip_addrs",
  ];
  const wrong: [string, unknown][] = [
    ["missing", undefined],
    ["null", null],
    ["a number", -1.5],
    ["a text", "\0"],
    ["an object", { labels: { a: 1 }, max_concurrency: "many" }],
    ["a list", [null, { a: [] }]],
  ];

  it.each(wrong)("is taken without the fields that are %s", async (_name, value) => {
    const all = [...fields, "obs_count", "db_sha", "node_id", "id"];
    const worst = { ...Object.fromEntries(all.map((field) => [field, value])), name: "worst" };
    const agents = [...all.map((field) => anAgent(`bad-${field}`, { [field]: value })), worst];
    expect((await report(...agents)).added).toBe(agents.length);
    expect(await worker("worst")).toMatchObject({ status: "unknown", url: "", ip_addrs: [], obs_count: 0, db_sha: "" });
    expect(await capabilitiesOf("worst")).toEqual({ claude_cli: true, max_concurrency: 1, labels: [] });
  });

  it("does not stop the others", async () => {
    const bad = [null, 7, "alpine", [], {}, ...["", null, 5, "a\0b", "n".repeat(129)].map((name) => ({ name }))];
    expect(await report(anAgent("first"), ...bad, anAgent("last"))).toEqual({ added: 2, changed: 0, offline: 0 });
    expect(await names()).toEqual(["first", "last"]);
  });

  it("is named in the log by its place and how it begins, ten of them at most", async () => {
    const lines: string[] = [];
    const log = createLog("warn", { write: (line: string) => void lines.push(line) });
    const nameless = { url: "http://10.0.0.9:8001", os_info: "x".repeat(1_000) };
    fake.agents = [anAgent("first"), nameless, anAgent("last"), ...Array.from({ length: 20 }, () => null)];
    await syncOnce(db, membridge, log);
    const { count, entries } = JSON.parse(lines.join(""));
    expect([count, entries.length, lines.length]).toEqual([21, 10, 1]);
    expect(entries[0]).toEqual({ index: 1, entry: expect.stringContaining("http://10.0.0.9:8001") });
    expect(entries[1]).toEqual({ index: 3, entry: "null" });
    expect(lines.join("").length).toBeLessThan(2_000);
  });

  it("goes by its node_id or id when it has no name", async () => {
    await report({ node_id: "by-node-id" }, { id: "by-id" });
    expect(await names()).toEqual(["by-id", "by-node-id"]);
  });

  it("is one worker when it is listed twice, as it was when seen last", async () => {
    const late = anAgent("twice", { last_seen: secondsAgo(5), labels: ["late"] });
    const early = anAgent("twice", { last_seen: secondsAgo(500), labels: ["early"] });
    expect((await report(late, early)).added).toBe(1);
    expect(await worker("twice")).toMatchObject({ status: "online", capabilities: { labels: ["late"] } });
  });
});

describe("several at once", () => {
  it("add each worker once, also when they hear of them in another order", async () => {
    fake.agents = Array.from({ length: 200 }, (_, index) => anAgent(`node-${index}`));
    fake.fail("/agents", { status: 200, json: fake.agents.toReversed() }, 2);
    const all = await Promise.all([sync(), sync(), sync(), sync()]);
    expect(all.reduce((sum, { added }) => sum + added, 0)).toBe(200);
    expect(await names()).toHaveLength(200);
    expect(await audited()).toHaveLength(200);
  });

  it.each(["new", "known"])("do not lower a registration that is just arriving, of a %s worker", async (kind) => {
    if (kind === "known") await report(anAgent("rpi"));
    fake.agents = [anAgent("rpi", { max_concurrency: 1, last_seen: secondsAgo(1) })];
    const waiting = () =>
      query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
    const syncing = await db.transaction(async (tx) => {
      await aWorker(tx, { name: "rpi", capabilities: { max_concurrency: 8 } });
      const pass = sync();
      await eventually(async () => expect(await waiting()).toHaveLength(1));
      // In an object, so that the transaction does not wait for the pass that waits for it.
      return { pass };
    });
    expect((await syncing.pass).added).toBe(0);
    expect((await capabilitiesOf("rpi")).max_concurrency).toBe(8);
  });
});
