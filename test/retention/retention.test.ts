import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { newId } from "../../src/db/ids.ts";
import { enterEvents, readEvents } from "../../src/events/read-events.ts";
import { cancelTask } from "../../src/queue/cancel.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { openStats } from "../../src/queue/stats.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { archiveTasks } from "../../src/retention/archive-tasks.ts";
import { acquirePassLock } from "../../src/retention/pass-lock.ts";
import { removeTasks } from "../../src/retention/remove-tasks.ts";
import { retainOnce } from "../../src/retention/retain-once.ts";
import { cleanOnce } from "../../src/storage/clean-staged.ts";
import type { OutputStorage } from "../../src/storage/output-storage.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, completion } from "../support/factories.ts";
import { completed, inDatabase, storeAt, uploaded } from "../support/output-storage.ts";
import { startS3 } from "../support/s3.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const s3 = await startS3();
const DAY_MS = 86_400_000;
const never = new AbortController().signal;
const TABLES = ["llm_tasks", "leases", "llm_results", "runtime_artifacts", "runtime_output_chunks", "audit_logs"];

/** A folder for archives that no other test uses. */
let folder = "";
let folders = 0;
const root = await temporaryFolder("bloom-retention-");
beforeEach(async () => {
  folders += 1;
  folder = join(root, String(folders), "archive");
  await mkdir(join(root, String(folders)));
  const guarded = ["runtime_artifacts", "runtime_output_chunks", "audit_logs"];
  const each = (verb: string) => guarded.map((table) => `alter table ${table} ${verb} trigger user;`).join("");
  await query(`${each("disable")} truncate ${TABLES}, runtime_staged_outputs, runtime_retention; ${each("enable")}`);
});

const pass = (days: { tasks?: number; auditEntries?: number }, store: OutputStorage = inDatabase) =>
  retainOnce(db, { store, folder, days: { tasks: 0, auditEntries: 0, ...days } }, never);

/** Makes all that is there, or only what is one task's, older by so many days. */
async function age(days: number, taskId?: string) {
  const columns: Record<string, string[]> = {
    llm_tasks: ["created_at", "updated_at"],
    leases: ["started_at", "last_heartbeat", "expires_at"],
    llm_results: ["completed_at"],
    runtime_artifacts: ["created_at"],
    audit_logs: ["timestamp"],
  };
  for (const [table, names] of Object.entries(columns)) {
    if (taskId !== undefined && table === "audit_logs") continue;
    const which = table === "llm_tasks" ? "id" : "task_id";
    await query(`alter table ${table} disable trigger user`);
    await query(
      `update ${table} set ${names.map((name) => `${name} = ${name} - ${days * DAY_MS}`)} ${taskId ? `where ${which} = '${taskId}'` : ""}`,
    );
    await query(`alter table ${table} enable trigger user`);
  }
}

type Line = { table: string; row: Record<string, unknown> };
const linesOf = (gzipped: Buffer): Line[] =>
  gunzipSync(gzipped)
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

/** The lines of all archives in the folder, without their first ones. */
async function archived(): Promise<Line[]> {
  const names = (await readdir(folder).catch(() => [])).toSorted();
  expect(names.filter((name) => !/^(tasks|audit)-[\dT-]+-[0-9a-f-]{36}\.jsonl\.gz$/.test(name))).toEqual([]);
  const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return files.flatMap((file) => {
    const [first, ...lines] = linesOf(file);
    expect(first).toEqual({ archive: "BLOOM Runtime", version: 1 });
    return lines;
  });
}

/** All rows as the archive would have them, in an order of its own. */
async function rowsOf(tables: string[]): Promise<Line[]> {
  const found: Line[] = [];
  for (const table of tables)
    for (const { row } of await query<{ row: Line["row"] }>(`select to_jsonb(t) as row from ${table} t`))
      found.push({ table, row });
  return inOrder(found);
}
const inOrder = (lines: Line[]) => lines.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
const idsOf = async () => (await query<{ id: string }>("select id from llm_tasks")).map(({ id }) => id).toSorted();

/** A task in each status; those that have ended have it from their own calls. */
async function inEveryStatus(): Promise<{ ended: string[]; open: string[] }> {
  const queued = await aTask(db, { idempotency_key: newId() });
  const leased = await aLeasedTask(db);
  const running = await aLeasedTask(db);
  await heartbeat(db, NOBODY, running.task.id);
  const inline = await completed(db, inDatabase, "done\t\u2028 🌱\n", { metrics: { duration_ms: 5, tokens_used: 7 } });
  const inPieces = await uploaded(db, inDatabase, Buffer.alloc(700_000, "\0\n\\"));
  const failed = await completed(db, inDatabase, "", { status: "error", output: null, error_message: "no" });
  const dead = await aLeasedTask(db, { task: { max_attempts: 1 } });
  await makeOverdue(dead.task.id);
  await sweepOnce(db);
  const cancelled = await aTask(db);
  await cancelTask(db, NOBODY, cancelled.id, "not needed");
  return {
    ended: [inline.task.id, inPieces.task.id, failed.task.id, dead.task.id, cancelled.id],
    open: [queued.id, leased.task.id, running.task.id],
  };
}

describe("RETENTION_DAYS", () => {
  it("removes tasks that ended long ago with all that is theirs, which is whole in the archive, and keeps all others", async () => {
    const old = await inEveryStatus();
    await age(10);
    const before = await rowsOf(TABLES.slice(0, 4));
    const [piece] = await query<{ output_id: string }>("select output_id from runtime_output_chunks limit 1");
    const young = await inEveryStatus();
    const stats = openStats(db);
    expect((await stats()).tasks.total).toBe(16);

    expect(await pass({ tasks: 9 })).toEqual({ "tasks removed": 5, "audit entries removed": 0 });
    expect(await idsOf()).toEqual([...old.open, ...young.ended, ...young.open].toSorted());
    const lines = await archived();
    const isTheirs = ({ table, row }: Line) => old.ended.includes(String(table === "llm_tasks" ? row.id : row.task_id));
    expect(inOrder(lines.filter(({ table }) => table !== "runtime_output_chunks"))).toEqual(before.filter(isTheirs));
    const pieces = lines.filter(({ table }) => table === "runtime_output_chunks");
    expect(new Set(pieces.map(({ row }) => row.output_id))).toEqual(new Set([piece?.output_id]));
    const bytes = Buffer.concat(pieces.map(({ row }) => Buffer.from(String(row.data), "base64")));
    expect(bytes.equals(Buffer.alloc(700_000, "\0\n\\"))).toBe(true);
    for (const table of ["leases", "llm_results", "runtime_artifacts"])
      expect(await query(`select 1 from ${table} where task_id = any($1)`, [old.ended])).toEqual([]);
    expect(await query("select 1 from runtime_output_chunks where output_id = $1", [piece?.output_id])).toEqual([]);

    const entries = await query<{ entity_id: string; actor: string; detail: string }>(
      "select entity_id, actor, detail from audit_logs where action = 'tasks_removed'",
    );
    expect(entries).toEqual([
      {
        entity_id: expect.stringMatching(`^${folder}/tasks-`),
        actor: "runtime",
        detail: expect.stringMatching(/^Removed 5 tasks .+ with 4 leases, 3 results and 3 artifacts$/),
      },
    ]);
    await expect.poll(async () => (await stats()).tasks).toMatchObject({ total: 11, by_status: { completed: 2 } });
    expect(await pass({ tasks: 9 })).toEqual({ "tasks removed": 0, "audit entries removed": 0 });
    expect(await readdir(folder)).toHaveLength(1);
  });

  it("takes the objects too, a day later, after the archive has them", async () => {
    const { bucket } = s3.connection();
    const { store } = storeAt({ ...s3.connection(), bucket });
    const [gone, kept] = [await completed(db, store, "🌱".repeat(300_000)), await completed(db, store, "kept")];
    await age(10, gone.task.id);
    expect(await pass({ tasks: 9 }, store)).toMatchObject({ "tasks removed": 1 });
    const [archive, ...more] = (await s3.keys(bucket)).filter((key) => key.startsWith("artifacts/archive/tasks-"));
    expect([more, await readdir(folder)]).toEqual([[], []]);
    const file = await s3.client.getObject(bucket, archive ?? "");
    const lines = linesOf(Buffer.concat(await file.toArray()));
    const pieces = lines.filter(({ table }) => table === "runtime_output_chunks");
    const bytes = Buffer.concat(pieces.map(({ row }) => Buffer.from(String(row.data), "base64")));
    expect(bytes.toString()).toBe("🌱".repeat(300_000));

    expect(await cleanOnce(db, store)).toBe(0);
    await query("update runtime_staged_outputs set created_at = created_at - 25 * 3600000");
    expect(await cleanOnce(db, store)).toBe(1);
    expect((await s3.keys(bucket)).toSorted()).toEqual(
      [archive, `artifacts/${kept.task.id}/${kept.artifact.id}`].toSorted(),
    );
    // The bucket with archives in it is still ours.
    await storeAt({ ...s3.connection(), bucket }).store.bucket?.checkOwn();
  });

  it("removes nothing while the store is away, and nothing whose bytes are damaged", async () => {
    const connection = s3.connection();
    const { store, logged } = storeAt(connection);
    const { task, artifact } = await completed(db, store, "x".repeat(100));
    await age(10);
    const away = storeAt({ ...connection, port: 9 }).store;
    await expect(pass({ tasks: 9 }, away)).rejects.toThrow("object store");
    await s3.client.putObject(connection.bucket, `artifacts/${task.id}/${artifact.id}`, "y".repeat(100));
    expect(await pass({ tasks: 9 }, store)).toMatchObject({ "tasks removed": 0 });
    expect(logged.join()).toContain("since its output is damaged");
    expect([await idsOf(), (await s3.keys(connection.bucket)).length]).toEqual([[task.id], 1]);
  });

  it("passes over a task that cannot be read, and removes the others; long rows are read one by one", async () => {
    await completed(db, inDatabase, "\u0001".repeat(20_000));
    const unreadable = await completed(db, inDatabase, "\u0002".repeat(20_000));
    await completed(db, inDatabase, "short");
    await age(10);
    // As where PostgreSQL takes too long to make JSON of it.
    const [{ id: artifact } = { id: "" }] = await query<{ id: string }>(
      "select id from runtime_artifacts where task_id = $1",
      [unreadable.task.id],
    );
    const execute: typeof db.execute = (text) => {
      if (JSON.stringify(text).includes(artifact)) throw Object.assign(new Error("too slow"), { code: "57014" });
      return db.execute(text);
    };
    const slow = Object.create(db, { execute: { value: execute } });
    const days = { tasks: 5, auditEntries: 0 };
    expect(await retainOnce(slow, { store: inDatabase, folder, days }, never)).toMatchObject({ "tasks removed": 2 });
    expect(await idsOf()).toEqual([unreadable.task.id]);
    const contents = (await archived())
      .filter(({ table }) => table === "runtime_artifacts")
      .map(({ row }) => row.content);
    expect(contents.toSorted()).toEqual(["\u0001".repeat(20_000), "short"]);
  });

  it("keeps what was changed after it was archived, and what got a late result", async () => {
    const requeued = await completed(db, inDatabase, "", { status: "error", output: null, error_message: "no" });
    const gone = await completed(db, inDatabase, "gone");
    const late = await aLeasedTask(db, { task: { max_attempts: 1 } });
    await makeOverdue(late.task.id);
    await sweepOnce(db);
    const lateToo = await aLeasedTask(db, { task: { max_attempts: 1 } });
    await makeOverdue(lateToo.task.id);
    await sweepOnce(db);
    await age(10);
    const hand = ({ task, lease }: typeof late) =>
      completeTask(db, NOBODY, inDatabase, task.id, completion({ lease_id: lease.id }));
    await expect(hand(lateToo)).rejects.toThrow("is kept as artifact");
    const cutoff = Date.now() - 9 * DAY_MS;
    const ids = [requeued.task.id, gone.task.id, late.task.id, lateToo.task.id];
    const batch = await archiveTasks(db, inDatabase, folder, ids, never);
    await requeueTask(db, NOBODY, requeued.task.id);
    await expect(hand(late)).rejects.toThrow("is kept as artifact");
    expect(batch && (await removeTasks(db, inDatabase, batch, cutoff))).toBe(1);
    expect(await idsOf()).toEqual([requeued.task.id, late.task.id, lateToo.task.id].toSorted());
    expect(await pass({ tasks: 9 })).toMatchObject({ "tasks removed": 0 });
  });

  it("loses nothing in a crash after the archive: tasks are archived twice and removed once", async () => {
    const { task } = await completed(db, inDatabase, "done");
    await age(10);
    await archiveTasks(db, inDatabase, folder, [task.id], never);
    await acquirePassLock(db, newId());
    expect(await pass({ tasks: 9 })).toMatchObject({ "tasks removed": 0 });
    await query("update runtime_retention set held_until = 0");
    expect(await pass({ tasks: 9 })).toMatchObject({ "tasks removed": 1 });
    expect((await archived()).filter(({ table }) => table === "llm_tasks")).toHaveLength(2);
  });

  it("removes each task once, whoever else is at it", async () => {
    for (let made = 0; made < 12; made++) await completed(db, inDatabase, "done");
    await age(10);
    const ids = await idsOf();
    const cutoff = Date.now() - 9 * DAY_MS;
    const passes = Array.from({ length: 4 }, async () => {
      const batch = await archiveTasks(db, inDatabase, folder, ids, never);
      return batch ? removeTasks(db, inDatabase, batch, cutoff) : 0;
    });
    const removed = await Promise.all([...passes, pass({ tasks: 9 }).then((done) => done["tasks removed"])]);
    expect([removed.reduce((sum, each) => sum + each), await idsOf()]).toEqual([12, []]);
  });

  it("frees the idempotency key of a removed task: the same request then makes a new one", async () => {
    const first = await completed(db, inDatabase, "done", {}, { idempotency_key: "again" });
    await age(10);
    await pass({ tasks: 9 });
    expect((await aTask(db, { idempotency_key: "again" })).id).not.toBe(first.task.id);
  });
});

describe("AUDIT_RETENTION_DAYS", () => {
  it("removes old entries from the oldest on, up to the first that is young, and streams behind them are reset", {
    timeout: 150_000,
  }, async () => {
    await completed(db, inDatabase, "one");
    await age(10);
    const before = await rowsOf(["audit_logs"]);
    const { now } = await enterEvents(db);
    const { events } = await readEvents(db, { ...now, xid: 0, seq: 0 });
    await completed(db, inDatabase, "two");
    // Old, but behind a young one, as after the clock was set back.
    await query(
      "insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail) values (gen_random_uuid(), 1, 'x', 'x', 'x', 'x', 'x')",
    );
    await query("insert into runtime_webhook_position (name, xid, seq) values ('webhooks', '3', 0)");
    const webhook = ["id", "url", "events", "secret", "from_seq", "created_at", "updated_at"];
    await query(
      `insert into runtime_webhooks (${webhook}) values (gen_random_uuid(), 'http://x', '["*"]', 'x', 0, 0, 0)`,
    );
    expect(await pass({ auditEntries: 9 })).toMatchObject({ "audit entries removed": 0 });
    // Nobody is told of anything any more. The position stands where it was: it is moved only every 10,000 transactions then.
    await query("update runtime_webhooks set off_since = 1");
    // A transaction of any other database on the server that still runs keeps entries back that came after its start.
    let removed = 0;
    const more = async () => {
      removed += (await pass({ auditEntries: 9 }))["audit entries removed"];
      return removed;
    };
    await expect.poll(more, { timeout: 120_000, interval: 100 }).toBe(before.length);
    expect(inOrder(await archived())).toEqual(before);
    const left = await query<{ action: string }>("select action from audit_logs order by seq");
    expect([...new Set(left.map(({ action }) => action))]).toEqual([
      "task_created",
      "worker_registered",
      "task_leased",
      "task_completed",
      "x",
      "audit_entries_removed",
    ]);
    expect(await idsOf()).toHaveLength(2);
    const place = events.at(-1)?.at;
    expect(await enterEvents(db, place)).toMatchObject({ isKnown: false });
    await query("truncate runtime_webhooks, runtime_webhook_position");
  });
});

describe("what is kept", () => {
  it("can be deleted by nobody else, and be changed by nobody at all", async () => {
    await completed(db, inDatabase, "done");
    await age(10);
    const cutoff = (days: number) => String(Date.now() - days * DAY_MS);
    const tried = async (setting: string, days: number | undefined, statement: string) => {
      const allowed = days === undefined ? "" : `select set_config('${setting}', '${cutoff(days)}', true);`;
      // Statements of one message are one transaction.
      await query(`${allowed} ${statement}`);
    };
    const [artifacts, audit] = ["bloom.retention_cutoff", "bloom.audit_retention_cutoff"];
    for (const [setting, days, statement] of [
      [artifacts, undefined, "delete from runtime_artifacts"],
      [artifacts, 11, "delete from runtime_artifacts"],
      [audit, 9, "delete from runtime_artifacts"],
      [artifacts, 9, "update runtime_artifacts set content = 'x'"],
      [artifacts, 9, "truncate runtime_artifacts"],
      [audit, undefined, "delete from audit_logs"],
      [audit, 11, "delete from audit_logs"],
      [artifacts, 9, "delete from audit_logs"],
      [audit, 9, "update audit_logs set detail = 'x'"],
    ] as const)
      await expect(tried(setting, days, statement)).rejects.toThrow("its rows are immutable");
    await tried(artifacts, 9, "delete from runtime_artifacts");
    await tried(audit, 9, "delete from audit_logs");
  });
});
