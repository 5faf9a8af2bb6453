import { describe, expect, it } from "vitest";
import { migrate } from "../../src/db/migrate.ts";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { LEGACY_TABLES, makeLegacyDatabase } from "../support/legacy-database.ts";

const empty = () => createTestDatabase({ from: "template0" });

/** The names of our tables and of what belongs to them. */
const OURS = `^((${LEGACY_TABLES.join("|")})(_|$)|runtime_)`;

async function countsOf({ query }: TestDatabase) {
  const counts = LEGACY_TABLES.map((table) => `(select count(*)::int from ${table}) as ${table}`);
  const [row] = await query<Record<string, number>>(`select ${counts}`);
  return row ?? {};
}

/** Everything that is not ours, as it is: tables, columns, constraints, indexes, views, sequences, and the rows. */
async function othersIn({ query }: TestDatabase) {
  const catalog = await query(
    `
    select c.oid, c.relname, c.relkind, n.nspname, pg_get_userbyid(c.relowner) as owner, c.relacl::text,
      (select jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod), attnotnull) order by attnum)
       from pg_attribute where attrelid = c.oid and attnum > 0) as columns,
      (select jsonb_agg(pg_get_constraintdef(oid) order by oid) from pg_constraint where conrelid = c.oid) as constraints
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'notebooks') and c.relname !~ $1
    order by c.oid`,
    [OURS],
  );
  const rows = await query("select * from notebooks.pages").catch(() => []);
  const users = await query("select * from users").catch(() => []);
  return { catalog, rows, users };
}

const OTHERS = [
  "create schema notebooks",
  "create table notebooks.pages (id serial primary key, title text not null)",
  "insert into notebooks.pages (title) values ('one'), ('two')",
  "create table memory_workers_log (id serial primary key, page_id int references notebooks.pages (id))",
  "create view pages_by_title as select title from notebooks.pages",
  "create index pages_title on notebooks.pages (title)",
];

describe("the earlier service's database", async () => {
  const database = await empty();
  for (const statement of OTHERS) await database.query(statement);
  const legacy = await makeLegacyDatabase(database);
  const [before, others] = [await countsOf(database), await othersIn(database)];
  await migrate(database.url);
  const after = await countsOf(database);
  const { query } = database;
  const { api, membridgeConfig } = await startApp(database.db);
  await membridgeConfig.sealAnew();
  const repairs = () =>
    query<{ entity_id: string; detail: string }>(
      "select entity_id, detail from audit_logs where action = 'adoption_repaired'",
    );

  it("keeps every row", async () => {
    expect({ ...after, audit_logs: 0 }).toEqual({ ...before, audit_logs: 0 });
    expect(after.audit_logs).toBe((before.audit_logs ?? 0) + (await repairs()).length);
    expect(await query("select action, entity_id from audit_logs where entity_id = 'gone'")).toHaveLength(1);
  });

  it("leaves what was sound as it was", async () => {
    for (const task of Object.values(legacy.sound)) {
      const { body } = await api.get(`/api/runtime/llm-tasks/${task.id}`);
      expect(body).toMatchObject(task);
    }
    const stray = (await api.get(`/api/runtime/artifacts?task_id=${legacy.strayArtifact.task_id}`)).body;
    expect(stray).toMatchObject([legacy.strayArtifact]);
    const results = await query("select output, lease_id, accepted from llm_results order by output");
    expect(results).toEqual([
      { output: "A seed holds its breath", lease_id: null, accepted: true },
      { output: "half a haiku", lease_id: null, accepted: true },
    ]);
    expect((await api.get("/api/runtime/workers/alpine")).body).toMatchObject({
      agent_version: "0.4.0",
      os_info: "Linux 6.1.0 x86_64",
      install_method: "script",
      capabilities: { claude_cli: true, max_concurrency: 2, labels: ["x86_64"] },
      obs_count: 12,
      active_leases: 3,
    });
  });

  it("repairs what breaks a rule, and says so of each, and of nothing else", async () => {
    const [odd] = await query<{ id: string }>(
      "select id from llm_tasks where prompt like '%queued%' and id::text not in (select unnest($1::text[]))",
      [[legacy.sound.queued.id, legacy.broken.namesALease.id, legacy.broken.withoutPolicy.id]],
    );
    const repaired = new Set((await repairs()).map(({ entity_id }) => entity_id));
    expect([...repaired].sort()).toEqual([...legacy.repaired, odd?.id].sort());
    const statusOf = async (id: string) => (await api.get(`/api/runtime/llm-tasks/${id}`)).body;
    expect(await statusOf(legacy.broken.lost.id)).toMatchObject({ status: "queued", lease_id: null, attempts: 1 });
    expect(await statusOf(legacy.broken.lostForGood.id)).toMatchObject({ status: "dead", attempts: 3 });
    expect(await statusOf(legacy.broken.namesALease.id)).toMatchObject({ status: "queued", lease_id: null });
    expect(await statusOf(legacy.broken.unknownStatus.id)).toMatchObject({ status: "failed" });
    expect(await statusOf(legacy.broken.withoutPolicy.id)).toMatchObject({
      policy: { timeout_sec: 120, budget: 0 },
      context_hints: [],
    });
    expect((await api.get("/api/runtime/workers/odd")).body).toMatchObject({
      status: "unknown",
      capabilities: { claude_cli: true, max_concurrency: 1, labels: [] },
    });
  });

  it("ends the second active lease of a task, and keeps the one that the task names", async () => {
    const statuses = await query("select id, status from leases where task_id = $1 order by status", [legacy.twice.id]);
    expect(statuses).toEqual([
      { id: legacy.twice.lease_id, status: "active" },
      { id: legacy.secondLease.id, status: "expired" },
    ]);
  });

  it("goes on: a held task completes, a queued one is leased, a dead one is requeued", async () => {
    const post = (id: string, verb: string, body = {}) => api.post(`/api/runtime/llm-tasks/${id}/${verb}`).send(body);
    const completion = { status: "success", output: "done", metrics: { duration_ms: 1 } };
    expect((await post(legacy.sound.running.id, "heartbeat")).status).toBe(200);
    expect((await post(legacy.sound.running.id, "complete", completion)).status).toBe(200);
    expect((await post(legacy.sound.queued.id, "lease", { worker_id: "alpine" })).status).toBe(201);
    expect((await post(legacy.sound.dead.id, "requeue")).status).toBe(200);
    expect((await api.get("/api/runtime/stats")).status).toBe(200);
  });

  it("keeps the configuration, and no longer the key in plain text", async () => {
    expect((await api.get("/api/runtime/config")).body).toMatchObject({
      membridge_server_url: "http://192.168.1.2:8000",
      admin_key_masked: `${ADMIN_KEY.slice(0, 4)}****${ADMIN_KEY.slice(-4)}`,
      connected: true,
    });
    const tables = await query<{ name: string }>(
      "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
    );
    for (const { name } of tables)
      expect(await query(`select 1 from ${name} t where t::text like '%' || $1 || '%'`, [ADMIN_KEY])).toEqual([]);
  });

  it("leaves the tables of others, users among them, exactly as they were", async () => {
    expect(await othersIn(database)).toEqual(others);
    expect(others.users).toHaveLength(1);
  });
});

describe("adoption", () => {
  it("takes a deployment that lacks a table and some columns", async () => {
    const database = await empty();
    await makeLegacyDatabase(database);
    await database.query("drop table llm_results");
    await database.query("alter table leases drop column context_id, drop column last_heartbeat");
    await database.query("alter table workers drop column db_sha");
    await migrate(database.url);
    expect(await countsOf(database)).toMatchObject({ llm_results: 0, workers: 2 });
  });

  it.each([
    ["workers", "create table workers (id serial primary key, salary int)"],
    ["leases", "create table leases (flat text, rent int)"],
  ])("refuses a table %s of another service, and changes nothing", async (table, statement) => {
    const database = await empty();
    for (const other of OTHERS) await database.query(other);
    await database.query(statement);
    const schemas = () => database.query("select nspname from pg_namespace order by nspname");
    const before = [await othersIn(database), await schemas()];
    await expect(migrate(database.url)).rejects.toThrow();
    expect([await othersIn(database), await schemas()]).toEqual(before);
    expect(await database.query(`select * from ${table}`)).toEqual([]);
  });

  it("of 50,000 tasks with their leases takes seconds", async () => {
    const database = await empty();
    await makeLegacyDatabase(database);
    await database.query(`insert into llm_tasks
      select gen_random_uuid(), 'c', 'a', 'p', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'completed', n, n, null, null, 1, 3
      from generate_series(1, 50000) n`);
    await database.query(`insert into leases
      select gen_random_uuid(), id, 'alpine', 1, 1, 300, 'released', 1, 'c' from llm_tasks where context_id = 'c'`);
    const startedAt = performance.now();
    await migrate(database.url);
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    const [row] = await database.query("select count(*)::int as n from llm_tasks where context_id = 'c'");
    expect(row).toEqual({ n: 50_000 });
  }, 60_000);
});
