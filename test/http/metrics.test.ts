import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody } from "../../src/contract/requests.ts";
import { openDatabase } from "../../src/db/client.ts";
import { TASK_STATUSES, WORKER_STATUSES } from "../../src/db/statuses.ts";
import { every } from "../../src/loop.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { openBucket } from "../../src/storage/bucket.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker, completion } from "../support/factories.ts";
import { MAIN_KEY } from "../support/keys.ts";
import { inDatabase } from "../support/output-storage.ts";
import { namesIn, parseMetrics } from "../support/parse-metrics.ts";

const { db, url, query, makeOverdue } = await createTestDatabase();
const METRICS = "the key of Prometheus";
const env = { RUNTIME_API_KEY: MAIN_KEY, METRICS_KEY: METRICS, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9" };
const { api, membridge, claimWaiters } = await startApp(db, { env });
const R = "/api/runtime";

/** Another instance over the same database. */
const other = openDatabase({ url, poolMax: 3 }, pino({ level: "silent" }));
afterAll(() => other.close());

async function scrape() {
  const { text, headers } = await api.get("/metrics").set("Authorization", `Bearer ${METRICS}`).expect(200);
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  return parseMetrics(text);
}
/** What some series have risen by while `work` ran. */
async function rise(names: string[], work: () => Promise<unknown>) {
  const before = await scrape();
  await work();
  const after = await scrape();
  return Object.fromEntries(names.map((name) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)]));
}
const claimFor = (worker: string, on = db) =>
  claimTasks(on, NOBODY, claimTasksBody.parse({ worker_id: worker, max_tasks: 1 }));

describe("GET /metrics", () => {
  it("takes METRICS_KEY, as a bearer token or as the service's own header, and the keys that may read; no other", async () => {
    const ask = (header: string, value: string) => api.get("/metrics").set(header, value);
    expect((await ask("Authorization", `Bearer ${METRICS}`)).status).toBe(200);
    expect((await ask("X-Runtime-API-Key", METRICS)).status).toBe(200);
    expect((await ask("X-Runtime-API-Key", MAIN_KEY)).status).toBe(200);
    expect((await ask("X-Runtime-API-Key", await createKey(db, undefined, "prometheus", "read"))).status).toBe(200);
    expect((await ask("X-Runtime-API-Key", await createKey(db, undefined, "box", "work"))).status).toBe(403);
    expect((await ask("Authorization", `Bearer ${METRICS}x`)).status).toBe(401);
    expect((await api.get("/metrics")).status).toBe(401);
  });

  it("is all that METRICS_KEY opens", async () => {
    await api.get(`${R}/stats`).set("X-Runtime-API-Key", METRICS).expect(401);
    await api.get(`${R}/stats`).set("Authorization", `Bearer ${METRICS}`).expect(401);
    await api.post(`${R}/llm-tasks`).set("Authorization", `Bearer ${MAIN_KEY}`).send({}).expect(401);
  });

  it("says what docs/metrics.md describes, and nothing else", async () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/metrics.md"), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| `"));
    const described = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name),
    );
    const loop = every(3_600_000, "test", db, async () => {});
    await loop.stop();
    openBucket(
      { endPoint: "127.0.0.1", port: 9, useSSL: false, accessKey: "a", secretKey: "s", region: "r", bucket: "b" },
      { meters: db.meters },
    );
    const { text } = await api.get("/metrics").set("Authorization", `Bearer ${METRICS}`);
    expect(described.toSorted()).toEqual(namesIn(text).toSorted());
  });
});

describe("what a task's life counts", () => {
  it("is its creation, its wait, its run and its completion", async () => {
    const worker = await aWorker(db, { capabilities: { max_concurrency: 4 } });
    const names = [
      "bloom_tasks_created_total",
      "bloom_task_wait_seconds_count",
      'bloom_task_run_seconds_count{outcome="success"}',
      'bloom_completions_total{task_status="completed",error_kind="none"}',
    ];
    const risen = await rise(names, async () => {
      await aTask(db);
      const { leased } = await claimFor(worker.id);
      expect(leased).toHaveLength(1);
      await completeTask(db, NOBODY, inDatabase, leased[0]?.task.id ?? "", completion());
    });
    expect(Object.values(risen)).toEqual([1, 1, 1, 1]);
  });

  it("measures the wait in seconds from when the task was due, for claims and for leases", async () => {
    const worker = await aWorker(db, { capabilities: { max_concurrency: 4 } });
    const sum = "bloom_task_wait_seconds_sum";
    const wait = async (hours: number, get: (id: string) => Promise<unknown>) => {
      const { id } = await aTask(db);
      await query("update llm_tasks set updated_at = updated_at - $2 * 3600000 where id = $1", [id, hours]);
      return Math.floor(((await rise([sum], () => get(id)))[sum] ?? 0) / 3_600);
    };
    expect(await wait(3, () => claimFor(worker.id))).toBe(3);
    const lease = (id: string) =>
      api
        .post(`${R}/llm-tasks/${id}/lease`)
        .set("X-Runtime-API-Key", MAIN_KEY)
        .send({ worker_id: worker.id })
        .expect(201);
    expect(await wait(5, lease)).toBe(5);
  });

  it("is why it was queued again, and why it is dead", async () => {
    const requeued = (cause: string) => `bloom_tasks_requeued_total{cause="${cause}"}`;
    const dead = (cause: string) => `bloom_tasks_dead_total{cause="${cause}"}`;
    const worker = await aWorker(db, { capabilities: { max_concurrency: 8 } });
    const names = [
      requeued("lease expired"),
      requeued("error"),
      requeued("handed back"),
      requeued("operator"),
      dead("lease expired"),
      dead("error"),
      dead("never started"),
      "bloom_leases_expired_total",
      'bloom_completions_total{task_status="dead",error_kind="timeout"}',
    ];
    const risen = await rise(names, async () => {
      const retry = { retry: { base_delay_sec: 1 } };
      const take = async (fields: object) => {
        const { id } = await aTask(db, { ...fields });
        const { body } = await api
          .post(`${R}/llm-tasks/${id}/lease`)
          .set("X-Runtime-API-Key", MAIN_KEY)
          .send({ worker_id: worker.id })
          .expect(201);
        return { id, lease_id: body.lease.id as string };
      };
      const call = (id: string, verb: string, body: object) =>
        api.post(`${R}/llm-tasks/${id}/${verb}`).set("X-Runtime-API-Key", MAIN_KEY).send(body).expect(200);
      const failed = { status: "error", error_kind: "timeout", output: null, metrics: { duration_ms: 60_000 } };
      const back = await take({});
      await call(back.id, "release", { lease_id: back.lease_id });
      for (const max_attempts of [2, 1]) {
        const { id, lease_id } = await take({ ...retry, max_attempts });
        await call(id, "complete", { ...failed, lease_id });
        if (max_attempts === 1) await call(id, "requeue", {});
      }
      for (const max_attempts of [2, 1]) await take({ max_attempts });
      await makeOverdue();
      const { id } = await aTask(db, { queue_ttl_sec: 1, requires: ["nobody has it"] });
      await query("update llm_tasks set queue_until = 1 where id = $1", [id]);
      await sweepOnce(db);
    });
    const active = risen.bloom_leases_expired_total;
    // Leases of the tests before this one were overdue too.
    expect(active).toBeGreaterThanOrEqual(2);
    expect(risen).toMatchObject({
      [requeued("lease expired")]: (active ?? 0) - 1,
      [requeued("error")]: 1,
      [requeued("handed back")]: 1,
      [requeued("operator")]: 1,
      [dead("lease expired")]: 1,
      [dead("error")]: 1,
      [dead("never started")]: 1,
      'bloom_completions_total{task_status="dead",error_kind="timeout"}': 1,
    });
  });

  it("is counted by the instance that did it, and not before it is committed", async () => {
    const created = "bloom_tasks_created_total";
    const mine = await rise([created], () => aTask(other.db));
    expect(mine[created]).toBe(0);
    expect(parseMetrics(other.db.meters.registry.text([])).get(created)).toBe(1);
    const rollBack = () =>
      db.transaction(async (tx) => {
        await aTask(tx);
        throw new Error("rolled back");
      });
    const none = await rise([created], () => expect(rollBack()).rejects.toThrow("rolled back"));
    expect(none[created]).toBe(0);
    expect(await rise([created], () => db.transaction((tx) => aTask(tx)))).toEqual({ [created]: 1 });
  });
});

describe("what is read from the database", () => {
  it("has every status, and agrees with the tables", async () => {
    const stored = async (table: string, statuses: readonly string[]) => {
      const rows = await query<{ status: string; count: number }>(
        `select status, count(*)::int from ${table} group by status`,
      );
      return statuses.map((status) => [status, rows.find((row) => row.status === status)?.count ?? 0]);
    };
    const [tasks, workers] = [await stored("llm_tasks", TASK_STATUSES), await stored("workers", WORKER_STATUSES)];
    // The counts of tasks may be 2 s old.
    await eventually(async () => {
      const now = await scrape();
      const told = (name: string) => (status: string) => [status, now.get(`${name}{status="${status}"}`)];
      expect(TASK_STATUSES.map(told("bloom_tasks"))).toEqual(tasks);
      expect(WORKER_STATUSES.map(told("bloom_workers"))).toEqual(workers);
    });
  });

  it("is how long the oldest due task waits; one that is not due yet does not count", async () => {
    await query("delete from llm_tasks where status = 'queued'");
    expect((await scrape()).get("bloom_tasks_oldest_due_seconds")).toBe(0);
    const { id } = await aTask(db, { requires: ["nobody has it"] });
    await query("update llm_tasks set not_before = updated_at + 3600000 where id = $1", [id]);
    expect((await scrape()).get("bloom_tasks_oldest_due_seconds")).toBe(0);
    await query("update llm_tasks set not_before = null, updated_at = updated_at - 7200000 where id = $1", [id]);
    expect(Math.floor(((await scrape()).get("bloom_tasks_oldest_due_seconds") ?? 0) / 3_600)).toBe(2);
  });

  it("is which slots are used and free, and who gets no work", async () => {
    await query("delete from leases");
    await query("delete from workers");
    const fleet = [
      await aWorker(db, { capabilities: { max_concurrency: 3 } }),
      await aWorker(db, { capabilities: { max_concurrency: 5 } }),
    ];
    const gone = await aWorker(db, { capabilities: { max_concurrency: 7 }, account: "full" });
    await aTask(db);
    expect((await claimFor(fleet[0]?.id ?? "")).leased).toHaveLength(1);
    const shape = async () => {
      const now = await scrape();
      const names = [
        'bloom_worker_slots{use="used"}',
        'bloom_worker_slots{use="free"}',
        "bloom_workers_drained",
        "bloom_workers_resting",
        "bloom_accounts",
        "bloom_accounts_limited",
        "bloom_leases_active",
      ];
      return names.map((name) => now.get(name));
    };
    expect(await shape()).toEqual([1, 14, 0, 0, 3, 0, 1]);
    await query("update workers set status = 'offline' where id = $1", [gone.id]);
    expect(await shape()).toEqual([1, 7, 0, 0, 3, 0, 1]);
    await api.post(`${R}/workers/${fleet[1]?.id}/drain`).set("X-Runtime-API-Key", MAIN_KEY).send({}).expect(200);
    expect(await shape()).toEqual([1, 2, 1, 0, 3, 0, 1]);
    await query(
      `insert into runtime_accounts (id, rest, updated_at) values ('full', '{"kind": "rate_limited", "reason": "r", "until": 99999999999999}', 1)
        on conflict (id) do update set rest = excluded.rest`,
    );
    expect(await shape()).toEqual([1, 2, 1, 0, 3, 1, 1]);
  });
});

describe("what the instance does", () => {
  it("counts requests by the names of routes and by status, whatever their address", async () => {
    const requests = (route: string, status: number) =>
      `bloom_http_requests_total{route="${route}",status="${status}"}`;
    const names = [
      requests("getTask", 404),
      requests("none", 404),
      'bloom_http_request_duration_seconds_count{route="getTask"}',
    ];
    const risen = await rise(names, async () => {
      for (const id of ["x", "y"]) await api.get(`${R}/llm-tasks/${id}`).set("X-Runtime-API-Key", MAIN_KEY).expect(404);
      await api.get(`${R}/no-such-thing`).set("X-Runtime-API-Key", MAIN_KEY).expect(404);
    });
    expect(Object.values(risen)).toEqual([2, 1, 2]);
  });

  it("counts the calls of Membridge that got no answer, and says that its circuit is open", async () => {
    const failed = 'bloom_outbound_call_duration_seconds_count{target="membridge",outcome="error"}';
    const risen = await rise([failed], async () => {
      for (let calls = 0; calls < 5; calls++) await membridge.call(["health"], { retries: 0 }).catch(() => {});
    });
    expect(risen).toEqual({ [failed]: 5 });
    expect((await scrape()).get('bloom_circuit_open{target="membridge"}')).toBe(1);
  });

  it("counts passes of loops, and those that failed", async () => {
    let passes = 0;
    const loop = every(1, "of this test", db, async () => {
      if (passes++ === 0) throw new Error("at first");
    });
    await eventually(() => expect(passes).toBeGreaterThan(2));
    await loop.stop();
    const now = await scrape();
    expect(now.get('bloom_loop_failures_total{loop="of this test"}')).toBe(1);
    expect(now.get('bloom_loop_pass_duration_seconds_count{loop="of this test"}')).toBe(passes);
    expect(now.get('bloom_loop_last_success_timestamp_seconds{loop="of this test"}')).toBeGreaterThan(1_700_000_000);
  });

  it("says how many workers wait, and how the pool is used", async () => {
    const { id } = await aWorker(db);
    await query("delete from llm_tasks where status = 'queued'");
    const claim = api
      .post(`${R}/llm-tasks/claim`)
      .set("X-Runtime-API-Key", MAIN_KEY)
      .send({ worker_id: id, wait_seconds: 20 })
      .then(({ status }) => status);
    await eventually(() => expect(claimWaiters.size()).toBe(1));
    const now = await scrape();
    expect(now.get('bloom_waiters{for="claim"}')).toBe(1);
    expect(now.get("bloom_db_pool_max_connections")).toBe(20);
    expect(now.get("bloom_db_pool_wait_seconds_count")).toBeGreaterThan(0);
    await aTask(db);
    claimWaiters.notify();
    expect(await claim).toBe(200);
  });
});
