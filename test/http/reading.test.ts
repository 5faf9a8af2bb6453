import { describe, expect, it } from "vitest";
import { inTransaction } from "../../src/db/transaction.ts";
import { markSilentOffline } from "../../src/fleet/signs-of-life.ts";
import { findUntakeable } from "../../src/queue/overview.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { ARTIFACT, AUDIT_ENTRY, LEASE, RUNTIME_CONFIG, TASK } from "../support/record-shapes.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const get = (path: string) => api.get(`/api/runtime/${path}`);
const idsOf = ({ body }: { body: { id: string }[] }) => body.map(({ id }) => id);
const complete = (id: string) =>
  api
    .post(`/api/runtime/llm-tasks/${id}/complete`)
    .send({ status: "success", output: "x", metrics: { duration_ms: 1 } });

describe("GET /api/runtime/health", () => {
  it("answers ok, from the database too", async () => {
    const { status, body } = await get("health");
    expect([status, body]).toEqual([
      200,
      {
        status: "ok",
        service: "bloom-runtime",
        uptime: expect.any(Number),
        storage: "postgresql",
        database: "ok",
        membridge: { consecutiveFailures: 0, lastSuccess: null, lastError: null, connected: false, circuit: "closed" },
      },
    ]);
  });
});

describe("GET /api/runtime/config", () => {
  it("has the fields of its record and no other", async () => {
    const { status, body } = await get("config");
    expect([status, body]).toEqual([200, RUNTIME_CONFIG]);
  });
});

describe("GET /api/runtime/leases", () => {
  it("lists leases newest first, all or in one status", async () => {
    const [one, two] = [await aLeasedTask(db), await aLeasedTask(db)];
    await complete(one.task.id);
    const all = await get("leases");
    expect(all.body).toEqual(all.body.map(() => LEASE));
    expect(idsOf(all)).toEqual([two.lease.id, one.lease.id]);
    expect(idsOf(await get("leases?status=active"))).toEqual([two.lease.id]);
    expect(idsOf(await get("leases?status=released"))).toEqual([one.lease.id]);
    const wrong = await get("leases?status=queued");
    expect(wrong.status).toBe(400);
    for (const known of ["active", "expired", "released", "failed"]) expect(wrong.body.error).toContain(known);
  });
});

describe("GET /api/runtime/runs", () => {
  it("answers the 50 newest tasks, newest first", async () => {
    const made = [];
    for (let n = 0; n < 51; n++) made.push((await aTask(db)).id);
    const runs = await get("runs");
    expect(runs.body).toEqual(Array(50).fill(TASK));
    expect(idsOf(runs)).toEqual(made.reverse().slice(0, 50));
  });
});

describe("GET /api/runtime/artifacts", () => {
  it("lists artifacts newest first, all or those of one task", async () => {
    const [one, two] = [await aLeasedTask(db), await aLeasedTask(db)];
    const artifacts = [(await complete(one.task.id)).body.artifact, (await complete(two.task.id)).body.artifact];
    const all = await get("artifacts");
    expect(all.body).toEqual(all.body.map(() => ARTIFACT));
    expect(all.body.slice(0, 2)).toEqual(artifacts.reverse());
    expect((await get(`artifacts?task_id=${one.task.id}`)).body).toEqual([artifacts[1]]);
    expect((await get(`artifacts?task_id=${(await aTask(db)).id}`)).body).toEqual([]);
    const wrong = await get("artifacts?task_id=x");
    expect([wrong.status, wrong.body]).toEqual([400, { error: expect.stringContaining("task_id: must be a UUID") }]);
  });
});

describe("GET /api/runtime/audit", () => {
  it("keeps the order in which things happened when the database's clock is set back", async () => {
    const task = await aTask(db);
    await query(
      `insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
       values (gen_random_uuid(), 1000, 'after_the_jump', 'llm_task', $1, 'test', '')`,
      [task.id],
    );
    const actions = (await get(`llm-tasks/${task.id}/history`)).body.map(({ action }: { action: string }) => action);
    expect(actions).toEqual(["task_created", "after_the_jump"]);
    expect((await get("audit?limit=1")).body).toMatchObject([{ action: "after_the_jump" }]);
  });

  it("answers the newest entries first, 100 unless told otherwise", async () => {
    for (let n = 0; n < 60; n++) await aLeasedTask(db);
    const { body } = await get("audit");
    expect(body).toEqual(Array(100).fill(AUDIT_ENTRY));
    const times = body.map(({ timestamp }: { timestamp: number }) => timestamp);
    expect(times).toEqual(times.toSorted((a: number, b: number) => b - a));
    expect((await get("audit?limit=3")).body).toEqual(body.slice(0, 3));
    expect((await get("audit?limit=150")).body).toHaveLength(150);
  });

  it.each(["0", "-1", "1.5", "many", "1e3", "99999999999", "1&limit=2"])("refuses limit=%s", async (limit) => {
    const { status, body } = await get(`audit?limit=${limit}`);
    expect([status, body]).toEqual([400, { error: expect.stringContaining("limit") }]);
  });
});

describe("GET /api/runtime/stats", async () => {
  // A database of its own, so that what is there is known.
  const counted = await createTestDatabase();
  const own = await startApp(counted.db);

  it("counts tasks, leases and workers; only statuses that occur", async () => {
    const empty = await own.api.get("/api/runtime/stats");
    expect([empty.status, empty.body]).toEqual([
      200,
      {
        as_of: expect.any(Number),
        tasks: { total: 0, by_status: {} },
        leases: { total: 0, active: 0 },
        workers: { total: 0, online: 0 },
      },
    ]);
    await aTask(counted.db);
    await aTask(counted.db);
    await aLeasedTask(counted.db);
    const { task } = await aLeasedTask(counted.db);
    await own.api
      .post(`/api/runtime/llm-tasks/${task.id}/complete`)
      .send({ status: "error", metrics: { duration_ms: 1 } });
    await aWorker(counted.db, { status: "syncing" });
    // What was counted just now may be told for a moment.
    await expect
      .poll(async () => (await own.api.get("/api/runtime/stats")).body)
      .toEqual({
        as_of: expect.toSatisfy((time: number) => time > empty.body.as_of),
        tasks: { total: 4, by_status: { queued: 2, leased: 1, failed: 1 } },
        leases: { total: 2, active: 1 },
        workers: { total: 3, online: 2 },
      });
  });

  it("goes into the overview, with what ended lately and what no worker can take", async () => {
    const stuck = await aTask(counted.db, { requires: ["tpu"] });
    await aTask(counted.db, { requires: ["tpu"] });
    await aLeasedTask(counted.db);
    const { task } = await aLeasedTask(counted.db);
    const done = { status: "success", output: "o", metrics: { duration_ms: 1 } };
    await own.api.post(`/api/runtime/llm-tasks/${task.id}/complete`).send(done).expect(200);
    const { body } = await own.api.get("/api/runtime/overview").expect(200);
    const { oldest_due_ms, slots, ended_by_minute, untakeable } = body;
    expect(oldest_due_ms).toBeGreaterThan(0);
    expect(slots.used).toBeGreaterThan(0);
    expect(ended_by_minute).toHaveLength(60);
    expect(ended_by_minute.reduce((sum: number, each: number) => sum + each, 0)).toBeGreaterThan(0);
    const tpu = { requires: ["tpu"], drained: [] as string[], tasks: 2, example: stuck.id, since: stuck.created_at };
    expect(untakeable).toEqual([tpu]);
    await aWorker(counted.db, { name: "only", capabilities: { labels: ["tpu"] } });
    expect(await findUntakeable(counted.db)).toEqual([]);
    await own.api.post("/api/runtime/workers/only/drain").send({ minutes: 5 }).expect(200);
    expect(await findUntakeable(counted.db)).toEqual([{ ...tpu, drained: ["only"] }]);
  });

  it("has in the overview who needs somebody: accounts at their limit, workers at rest, lost or in error, and what failed", async () => {
    const { db, query } = await createTestDatabase();
    const { api } = await startApp(db);
    const silent = ["lost", "drained", "stopped"];
    for (const name of [...silent, "idle", "resting", "broken"]) await aWorker(db, { name });
    await query(`update workers set last_heartbeat = last_heartbeat - 3600000 where id in ('${silent.join("', '")}')`);
    await inTransaction(db, markSilentOffline);
    await api.post("/api/runtime/workers/drained/drain").send({}).expect(200);
    // A worker that was heard of again, and then says that it stops, is not lost.
    await api.post("/api/runtime/workers").send({ name: "stopped", status: "offline" }).expect(200);
    await api.post("/api/runtime/workers/resting/rest").send({ reason: "It is hot.", seconds: 60 }).expect(200);
    await query("update workers set status = 'error' where id = 'broken'");
    for (let n = 0; n < 50; n++) await aWorker(db, { name: `many-${n}` });
    // These three say that they stop: one for good, one while it rests for a minute, and one that is logged out.
    const stop = (name: string) => api.post("/api/runtime/workers").send({ name, status: "offline" }).expect(200);
    for (const [name, seconds] of Object.entries({ "no-cli": 3_600, tired: 60 })) {
      await aWorker(db, { name });
      await api.post(`/api/runtime/workers/${name}/rest`).send({ reason: "Its CLI is gone.", seconds }).expect(200);
      await stop(name);
    }
    // Its last word counts also when the hour is over for which it was said.
    await query(`update workers set last_heartbeat = last_heartbeat - 7200000,
      rest = rest || jsonb_build_object('until', (rest ->> 'until')::bigint - 7200000) where id = 'no-cli'`);
    const end = async (account: string, error_kind: string, name?: string) => {
      const { task } = await aLeasedTask(db, { worker: { account, ...(name && { name }) } });
      const done = { status: "error", error_kind, error_message: "e", metrics: { duration_ms: 1 } };
      await api.post(`/api/runtime/llm-tasks/${task.id}/complete`).send(done).expect(200);
      return task.id;
    };
    await end("z-team", "rate_limited");
    const failed = await end("other", "parse_error");
    await end("third", "auth", "no-login");
    await stop("no-login");
    const { body } = await api.get("/api/runtime/overview").expect(200);
    expect(body.workers_in_trouble.map(({ id }: { id: string }) => id)).toEqual([
      "broken",
      "lost",
      "no-cli",
      "no-login",
      "resting",
    ]);
    expect(body.accounts).toHaveLength(50);
    expect(body.accounts).toContainEqual(expect.objectContaining({ id: "z-team", rest: expect.anything() }));
    expect(body.failures).toEqual([expect.objectContaining({ id: failed, status: "failed", prompt_bytes: 14 })]);
  });

  it("has in the overview what failed last, by the time of the failure, also where the task is old or never gave a result", async () => {
    const { db, query } = await createTestDatabase();
    const { api } = await startApp(db);
    const failures = async (): Promise<{ id: string; updated_at: number }[]> =>
      (await api.get("/api/runtime/overview").expect(200)).body.failures;
    const end = (id: string) =>
      api
        .post(`/api/runtime/llm-tasks/${id}/complete`)
        .send({ status: "error", metrics: { duration_ms: 1 } })
        .expect(200);
    const failed: string[] = [];
    for (let n = 0; n < 8; n++) {
      const { task } = await aLeasedTask(db);
      failed.push(task.id);
      await end(task.id);
    }
    await query("update llm_tasks set created_at = created_at - 3600000, updated_at = updated_at - 3600000");
    const [again = "", dead = "", ...others] = failed;
    for (const id of [again, dead]) await api.post(`/api/runtime/llm-tasks/${id}/requeue`).expect(200);
    expect(await failures()).toHaveLength(6);
    await api.post(`/api/runtime/llm-tasks/${again}/lease`).send({}).expect(201);
    await end(again);
    // As many newer tasks and artifacts as are looked at, and a task that dies without a result.
    await query(
      `insert into llm_tasks select (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(), 'created_at', t.created_at + 60000))).*
         from llm_tasks t, generate_series(1, 200) where t.id = '${others.at(-1)}';
       insert into runtime_artifacts select (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'created_at', a.created_at + 60000))).*
         from runtime_artifacts a, generate_series(1, 200) where a.task_id = '${others.at(-1)}'`,
    );
    await query(`update llm_tasks set queue_until = 1, queue_ttl_sec = 1 where id = '${dead}'`);
    await sweepOnce(db);
    const shown = await failures();
    expect(shown.slice(0, 2).map(({ id }) => id)).toEqual([dead, again]);
    expect(shown).toHaveLength(6);
    expect(shown).toEqual(shown.toSorted((a, b) => b.updated_at - a.updated_at));
  });

  it("counts what is long there once, and its changes all the same", async () => {
    const old = await createTestDatabase();
    const { api } = await startApp(old.db);
    const stats = () => api.get("/api/runtime/stats").then(({ body: { as_of: _time, ...counts } }) => counts);
    await aTask(old.db);
    const { task } = await aLeasedTask(old.db);
    await old.query("update llm_tasks set created_at = created_at - 3600000");
    await old.query("update leases set started_at = started_at - 3600000");
    expect(await stats()).toEqual({
      tasks: { total: 2, by_status: { queued: 1, leased: 1 } },
      leases: { total: 1, active: 1 },
      workers: { total: 1, online: 1 },
    });
    await api
      .post(`/api/runtime/llm-tasks/${task.id}/complete`)
      .send({ status: "success", output: "", metrics: { duration_ms: 1 } });
    await aTask(old.db);
    await expect.poll(stats).toEqual({
      tasks: { total: 3, by_status: { queued: 2, completed: 1 } },
      leases: { total: 1, active: 0 },
      workers: { total: 1, online: 1 },
    });
  });
});
