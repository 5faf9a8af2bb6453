import pg from "pg";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { usageBy } from "../../src/queue/usage-by.ts";
import { sumUpUsage } from "../../src/queue/usage-sums.ts";
import { startApp } from "../support/app.ts";
import { attempt as attemptAt } from "../support/attempts.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";

beforeEach(async () => {
  await query(
    "truncate workers, llm_tasks, leases, llm_results, audit_logs, runtime_usage, runtime_usage_months, runtime_usage_totals, runtime_new_usage, runtime_cli_sessions",
  );
  await aWorker(db, { name: "a1", account: "max-1", capabilities: { max_concurrency: 32 } });
  await aWorker(db, { name: "b1", capabilities: { max_concurrency: 32 } });
});

const METRICS = {
  duration_ms: 1_000,
  model: "opus",
  input_tokens: 10,
  output_tokens: 20,
  cache_read_tokens: 300,
  cache_write_tokens: 4,
  cost_usd: 0.1,
  num_turns: 2,
};
const USAGE = {
  attempts: 1,
  duration_ms: 1_000,
  tokens: 334,
  input_tokens: 10,
  output_tokens: 20,
  cache_read_tokens: 300,
  cache_write_tokens: 4,
  num_turns: 2,
  cost_usd: 0.1,
};

const TWICE = Object.fromEntries(Object.entries(USAGE).map(([figure, value]) => [figure, 2 * value]));

/** A successful attempt at the task by the worker, unless `body` says otherwise; gives the task after it. */
const attempt = (id: string, worker: string, body: object = {}) =>
  attemptAt(api, id, worker, { status: "success", output: "x", metrics: METRICS, ...body });
const usage = async (text: string) => (await api.get(`/api/runtime/usage?${text}`).expect(200)).body;

describe("usage", () => {
  it("stays on a task whose last attempt says nothing of what it used", async () => {
    const { id } = await aTask(db, { retry: {} });
    await attempt(id, "a1", { status: "error", error_kind: "timeout" });
    await query("update llm_tasks set retry_at = 1");
    expect((await attempt(id, "b1", { metrics: { duration_ms: 5 } })).usage).toEqual(USAGE);
  });

  it("of a task is the sum over its attempts, whether they failed or not", async () => {
    const { id } = await aTask(db, { retry: {} });
    expect((await attempt(id, "a1", { status: "error", error_kind: "timeout" })).usage).toEqual(USAGE);
    await query("update llm_tasks set retry_at = 1");
    const { usage } = await attempt(id, "b1", { metrics: { duration_ms: 5, tokens_used: 66, cost_usd: 0.2 } });
    expect(usage).toEqual({ ...USAGE, attempts: 2, duration_ms: 1_005, tokens: 400, cost_usd: 0.3 });
    expect((await aTask(db)).usage).toBeNull();
  });

  it("comes summed up by each property, the same before and after it was added to the sums, by several at once", async () => {
    for (const [worker, fields, model] of [
      ["a1", { agent_slug: "writer", context_id: "garden" }, "opus"],
      ["a1", { agent_slug: "writer", context_id: "house" }, "haiku"],
      ["b1", { agent_slug: "reader", context_id: "garden" }, "opus"],
    ] as const)
      await attempt((await aTask(db, fields)).id, worker, { metrics: { ...METRICS, model } });
    await attempt((await aTask(db)).id, "b1", { metrics: { duration_ms: 7 } });
    const keys = async (by: string) =>
      Object.fromEntries(
        (await usage(`by=${by}`)).map(({ key, attempts, tokens, cost_usd }: Record<string, unknown>) => [
          key,
          [attempts, tokens, cost_usd],
        ]),
      );
    const [one, two, three] = [
      [1, 334, 0.1],
      [2, 668, 0.2],
      [3, 1_002, 0.3],
    ];
    const today = new Date().toISOString().slice(0, 10);
    const sums = {
      day: { [today]: three },
      account: { "max-1": two, b1: one },
      agent_slug: { writer: two, reader: one },
      context_id: { garden: two, house: one },
      worker_id: { a1: two, b1: one },
      model: { opus: two, haiku: one },
    };
    for (const [by, sum] of Object.entries(sums)) expect(await keys(by)).toEqual(sum);
    const added = await Promise.all(Array.from({ length: 4 }, () => sumUpUsage(db)));
    expect(added.reduce((sum, each) => sum + each, 0)).toBe(3);
    for (const [by, sum] of Object.entries(sums)) expect(await keys(by)).toEqual(sum);
    await attempt((await aTask(db, { agent_slug: "reader", context_id: "c" })).id, "a1");
    expect(await keys("agent_slug")).toEqual({ writer: two, reader: two });
    await sumUpUsage(db);
    expect(await keys("agent_slug")).toEqual({ writer: two, reader: two });
  });

  it("is summed up of each attempt once, whether it is tried again, was cancelled or came too late", async () => {
    const lease = async (id: string, worker_id: string): Promise<string> =>
      (await api.post(`${TASKS}/${id}/lease`).send({ worker_id }).expect(201)).body.lease.id;
    const completeTwice = async (id: string, lease_id: string, status: number) => {
      const completion = { status: "success", output: "x", metrics: METRICS, lease_id };
      for (let n = 0; n < 2; n++) await api.post(`${TASKS}/${id}/complete`).send(completion).expect(status);
    };
    const { id: retried } = await aTask(db, { retry: {} });
    await attempt(retried, "a1", { status: "error", error_kind: "timeout" });
    const { id: cancelled } = await aTask(db);
    const held = await lease(cancelled, "a1");
    await api.post(`${TASKS}/${cancelled}/cancel`).send({}).expect(200);
    await completeTwice(cancelled, held, 200);
    const { id: lost } = await aTask(db);
    const late = await lease(lost, "b1");
    await makeOverdue(lost);
    await sweepOnce(db);
    await lease(lost, "a1");
    await completeTwice(lost, late, 409);
    for (let summed = 0; summed < 2; summed++) {
      expect(await usage("by=worker_id")).toEqual([
        { ...USAGE, key: "a1", ...TWICE },
        { ...USAGE, key: "b1" },
      ]);
      expect(await sumUpUsage(db)).toBe(summed === 0 ? 3 : 0);
    }
  });

  it("takes nonsense for the most that can be, so that one worker's figures spoil no sum", async () => {
    const most = Number.MAX_SAFE_INTEGER;
    const nonsense = {
      duration_ms: most,
      input_tokens: most,
      output_tokens: most,
      cache_read_tokens: most,
      cache_write_tokens: most,
    };
    for (let n = 0; n < 3; n++) await attempt((await aTask(db)).id, "a1", { metrics: nonsense });
    expect(await sumUpUsage(db)).toBe(3);
    expect((await usage("by=day"))[0]).toMatchObject({ attempts: 3, tokens: 3e11, duration_ms: 3e11 });
  });

  it("is exact from any day to any other, whole months or not, by days as by models", async () => {
    const days = ["2025-12-31", "2026-01-01", "2026-01-15", "2026-01-31", "2026-02-28", "2026-03-01", "2026-03-31"];
    for (const [n, day] of days.entries()) {
      await attempt((await aTask(db)).id, "a1", { metrics: { ...METRICS, model: `m${n % 2}` } });
      // The last two attempts stay out of the sums.
      await query("update runtime_new_usage set completed_at = $1 where completed_at > 1776000000000", [
        Date.parse(day),
      ]);
      if (n === 4) await sumUpUsage(db);
    }
    const edges = [...days, "2025-12-01", "2026-02-01", "2026-04-01"];
    for (const since of [undefined, ...edges])
      for (const until of [undefined, ...edges]) {
        if (since && until && since > until) continue;
        const range = `${since ? `&since=${since}` : ""}${until ? `&until=${until}` : ""}`;
        const within = days.filter((day) => (!since || day >= since) && (!until || day <= until));
        const attemptsBy = async (by: string) =>
          (await usage(`by=${by}${range}`)).reduce((sum: number, each: { attempts: number }) => sum + each.attempts, 0);
        expect([range, await attemptsBy("model"), await attemptsBy("day")]).toEqual([
          range,
          within.length,
          within.length,
        ]);
      }
  });

  it("of a year is read from months, and from half a month of days at either end", async () => {
    const figures =
      "attempts, duration_ms, tokens, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, num_turns, cost_microusd";
    await query(
      `insert into runtime_usage (dimension, day, key, ${figures}) select 'context_id', day, 'c' || n, 1, 1, 1, 1, 1, 1, 1, 1, 1
       from generate_series('2025-01-01'::date, '2025-12-31', '1 day') day, generate_series(1, 20) n`,
    );
    await query(
      `insert into runtime_usage_months (dimension, month, key, ${figures})
       select dimension, date_trunc('month', day)::date, key, ${figures.replace(/\w+/g, "sum($&)")} from runtime_usage group by 1, 2, 3`,
    );
    await query("analyze runtime_usage, runtime_usage_months");
    const rowsRead =
      "select sum(seq_tup_read + idx_tup_fetch)::int as rows from pg_stat_xact_user_tables where relname like 'runtime_usage%'";
    const { found, rows } = await db.transaction(async (tx) => {
      const count = async () => Number((await tx.execute<{ rows: number }>(rowsRead)).rows[0]?.rows);
      const before = await count();
      const found = await usageBy(tx, "context_id", { since: "2025-01-16", until: "2025-12-15", limit: 100 });
      return { found, rows: (await count()) - before };
    });
    expect(found.map(({ attempts }) => attempts)).toEqual(Array(20).fill(334));
    // 15 days and 16, and the months between, of 20 contexts, once for the rank and once for the figures; the days alone would be 6,680.
    expect(rows).toBeLessThanOrEqual((16 + 16 + 12) * 20 * 2);
  });

  it("of one account comes day by day", async () => {
    for (const [worker, account] of [
      ["c1", "shared"],
      ["c2", "shared"],
      ["c3", "other"],
    ] as const) {
      await aWorker(db, { name: worker, account });
      await attempt((await aTask(db)).id, worker);
    }
    const day = (at: number) => new Date(at).toISOString().slice(0, 10);
    const earlier = Date.now() - 3 * 86_400_000;
    await query("update runtime_new_usage set completed_at = $1 where worker_id = 'c1'", [earlier]);
    for (let summed = 0; summed < 2; summed++) {
      const days = await usage(`account=shared&since=${day(earlier)}`);
      expect(days.map(({ key, attempts }: Record<string, unknown>) => [key, attempts])).toEqual([
        [expect.stringMatching(/^\d{4}-\d\d-\d\d$/), 1],
        [day(earlier), 1],
      ]);
      expect(await usage(`account=shared&until=${day(earlier)}`)).toEqual([{ ...USAGE, key: day(earlier) }]);
      expect(await usage("account=nobody")).toEqual([]);
      await sumUpUsage(db);
    }
  });

  it("of many contexts is found by their sums of all time, and is exact also where these do not lead to it", async () => {
    const figures = "attempts, duration_ms, tokens";
    const days = "'2026-01-10'::date + n % 3";
    await query(
      `insert into runtime_usage (dimension, day, key, ${figures}) select 'context_id', ${days}, 'c' || n, 1, 1, n from generate_series(1, 5000) n`,
    );
    await query(
      `insert into runtime_usage_months (dimension, month, key, ${figures})
       select dimension, date_trunc('month', day)::date, key, ${figures} from runtime_usage`,
    );
    await query(
      `insert into runtime_usage_totals (dimension, key, ${figures}) select dimension, key, ${figures} from runtime_usage`,
    );
    await query("analyze runtime_usage, runtime_usage_months, runtime_usage_totals");
    const asked = vi.spyOn(pg.Client.prototype, "query");
    const keysOf = async (text: string) => {
      asked.mockClear();
      const keys = (await usage(`by=context_id&limit=3&${text}`)).map(({ key }: { key: string }) => key);
      const sent = (asked.mock.calls as unknown as [pg.QueryConfig][]).filter(([{ text }]) => text?.includes("edges"));
      return { keys, looks: sent.length };
    };
    expect(await keysOf("")).toEqual({ keys: ["c5000", "c4999", "c4998"], looks: 1 });
    expect(await keysOf("since=2026-01-12")).toEqual({ keys: ["c5000", "c4997", "c4994"], looks: 1 });
    expect(await keysOf("since=2026-01-11&until=2026-01-11")).toEqual({ keys: ["c4999", "c4996", "c4993"], looks: 1 });
    // An attempt that is in no sum yet counts, whatever its context has used before.
    await attempt((await aTask(db, { context_id: "c1" })).id, "a1", {
      metrics: { duration_ms: 1, tokens_used: 9_999 },
    });
    expect(await keysOf("")).toEqual({ keys: ["c1", "c5000", "c4999"], looks: 1 });
    await sumUpUsage(db);
    expect(await keysOf("")).toEqual({ keys: ["c1", "c5000", "c4999"], looks: 1 });
    // None of the largest is of this day, and many have used as much as each other.
    await query("update runtime_usage set day = '2026-02-01' where key = 'c2'");
    const long = "since=2025-11-01";
    expect(await keysOf("since=2026-02-01&until=2026-02-01")).toEqual({ keys: ["c2"], looks: 1 });
    expect(await keysOf(`${long}&until=2026-01-12`)).toEqual({ keys: ["c5000", "c4999", "c4998"], looks: 1 });
    await query("update runtime_usage_totals set tokens = 9999");
    expect(await keysOf(`${long}&until=2026-01-12`)).toEqual({ keys: ["c5000", "c4999", "c4998"], looks: 2 });
    asked.mockRestore();
  });

  it("is answered also while many attempts are in no sum yet", async () => {
    const figures =
      "attempts, duration_ms, tokens, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, num_turns, cost_microusd";
    const ones = figures.replace(/\w+/g, "1");
    await query(
      `insert into runtime_usage_months (dimension, month, key, ${figures}) select 'context_id', '2026-01-01', 'c' || n, ${ones}
       from generate_series(1, 3000) n`,
    );
    await query(
      `insert into runtime_new_usage (completed_at, account, agent_slug, context_id, worker_id, model, ${figures})
       select 1768000000000, 'a', 's', 'c' || n % 3000 + 1, 'w', 'm', ${ones} from generate_series(1, 40000) n`,
    );
    const found = await usage("by=context_id&since=2025-06-01&limit=1000");
    expect(found.map(({ attempts }: { attempts: number }) => attempts)).toEqual(Array(1000).fill(15));
  });

  it("is taken of the days that are asked for, and refuses what is no day", async () => {
    await attempt((await aTask(db)).id, "a1");
    await query("update runtime_new_usage set completed_at = 1767225600000");
    for (let summed = 0; summed < 2; summed++) {
      expect((await usage("since=2026-01-01&until=2026-01-01"))[0]?.key).toBe("2026-01-01");
      expect(await usage("since=2026-01-02")).toEqual([]);
      expect(await usage("by=model&until=2025-12-31")).toEqual([]);
      await sumUpUsage(db);
    }
    for (const wrong of [
      "account=a&by=model",
      "since=yesterday",
      "by=prompt",
      "until=2026-02-30",
      "since=2026-01-02&until=2026-01-01",
    ])
      expect((await api.get(`/api/runtime/usage?${wrong}`)).status).toBe(400);
  });
});

describe("a task's limits", () => {
  it("bind over its attempts: a claim says what is left, and a task that has used them up is not tried again", async () => {
    const { id } = await aTask(db, { limits: { max_tokens: 700, max_usd: 1 }, retry: {}, max_attempts: 9 });
    const fails = { status: "error", error_kind: "timeout", error_message: "too slow" };
    expect((await attempt(id, "a1", fails)).status).toBe("queued");
    await query("update llm_tasks set retry_at = 1, elsewhere_until = 1");
    const [{ limits_left }] = (await api.post(`${TASKS}/claim`).send({ worker_id: "b1" }).expect(200)).body.tasks;
    expect(limits_left).toEqual({ max_tokens: 366, max_usd: 0.9 });
    const metrics = { ...METRICS, output_tokens: 100 };
    const { body } = await api
      .post(`${TASKS}/${id}/complete`)
      .send({ ...fails, metrics })
      .expect(200);
    expect(body.task).toMatchObject({
      status: "failed",
      error_kind: "budget_exceeded",
      last_error: "The limit max_tokens of 700 is used up. The last attempt said: too slow",
    });
    const { reason } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toMatch(/Replay it with other limits to have it tried again\.$/);
    const requeued = await api.post(`${TASKS}/${id}/requeue`);
    expect([requeued.status, requeued.body.error]).toEqual([
      409,
      "The limit max_tokens of 700 is used up. Replay it with other limits, as a new task.",
    ]);
    expect((await api.get(`${TASKS}/${id}`)).body.status).toBe("failed");
  });
});
