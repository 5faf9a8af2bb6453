import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { ERROR_KINDS, type ErrorKind } from "../../src/db/statuses.ts";
import { RULES } from "../../src/queue/outcome.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";
const ACCOUNTS = "/api/runtime/accounts";
const metrics = { duration_ms: 1 };

beforeEach(() => query("truncate workers, runtime_accounts, llm_tasks, leases, llm_results, audit_logs"));

async function lease(task: string, worker_id?: string): Promise<string> {
  return (await api.post(`${TASKS}/${task}/lease`).send({ worker_id }).expect(201)).body.lease.worker_id;
}

/** An attempt at the task that fails with this kind; gives the task after it. */
async function fails(task: string, worker: string, error_kind: ErrorKind, more = {}) {
  await lease(task, worker);
  const body = { status: "error", error_message: `It was ${error_kind}.`, error_kind, metrics, ...more };
  return (await api.post(`${TASKS}/${task}/complete`).send(body).expect(200)).body.task;
}
const claim = async (worker_id: string, more = {}) => api.post(`${TASKS}/claim`).send({ worker_id, ...more });
const claimed = async (worker: string, more = {}) => (await claim(worker, more)).body.tasks?.length ?? 0;
const workerOf = async (id: string) => (await api.get(`${WORKERS}/${id}`).expect(200)).body;
const becomesDue = (id: string) =>
  query("update llm_tasks set retry_at = 1, elsewhere_until = least(elsewhere_until, retry_at) where id = $1", [id]);
const auditOf = async (id: string) =>
  (await query("select action from audit_logs where entity_id = $1 order by seq", [id])).map(({ action }) => action);
const accountOf = async (id: string) =>
  (await api.get(ACCOUNTS).expect(200)).body.find((account: { id: string }) => account.id === id);

describe("what a failed attempt does to its task", () => {
  it.each(ERROR_KINDS)("%s: is what its rule says, without retry and with", async (kind) => {
    const { task: next, attempt } = RULES[kind];
    await aWorker(db, { name: "rpi", capabilities: { max_concurrency: 2 } });
    const [plain, retried] = [await aTask(db), await aTask(db, { retry: { base_delay_sec: 100, max_delay_sec: 100 } })];
    for (const { id } of [plain, retried]) {
      await query("update workers set rest = null, account_rest = null");
      await fails(id, "rpi", kind);
    }
    const [withoutRetry, withRetry] = await Promise.all(
      [plain, retried].map(async ({ id }) => (await api.get(`${TASKS}/${id}`)).body),
    );
    const queued = {
      requeue: ["queued", "queued"],
      delay: ["queued", "queued"],
      "as retry says": ["failed", "queued"],
      fail: ["failed", "failed"],
    };
    expect([withoutRetry.status, withRetry.status]).toEqual(queued[next]);
    expect([withoutRetry.attempts, withRetry.attempts]).toEqual(attempt === "counts" ? [1, 1] : [0, 0]);
    for (const task of [withoutRetry, withRetry])
      expect(task).toMatchObject({ error_kind: kind, last_error: `It was ${kind}.` });
    const delay = withRetry.retry_at === null ? 0 : withRetry.retry_at - Date.now();
    expect(delay > 70_000).toBe(withRetry.status === "queued" && next !== "requeue");
    const { body: results } = await api.get(`${TASKS}/${plain.id}/results`);
    expect(results[0]).toMatchObject({ status: "error", error_kind: kind });
  });

  it("overloaded: waits 15 s and then twice as long each time, with jitter, and is dead after its last attempt", async () => {
    const { id } = await aTask(db, { max_attempts: 3 });
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      await aWorker(db, { name: `rpi-${attempt}` });
      const { status, retry_at, updated_at } = await fails(id, `rpi-${attempt}`, "overloaded");
      if (status === "dead") continue;
      delays.push(retry_at - updated_at);
      await becomesDue(id);
    }
    expect(delays.map((ms, n) => ms > 0.79 * 15_000 * 2 ** n && ms <= 15_000 * 2 ** n)).toEqual([true, true]);
    expect((await api.get(`${TASKS}/${id}`)).body).toMatchObject({
      status: "dead",
      attempts: 3,
      error_kind: "overloaded",
    });
  });

  it.each(["provider_error", "timeout"] as const)(
    "%s: goes to another worker where there is one, and else to the same",
    async (kind) => {
      for (const name of ["a", "b"]) await aWorker(db, { name, capabilities: { max_concurrency: 4 } });
      const { id } = await aTask(db, { max_attempts: 5, retry: {} });
      await fails(id, "a", kind);
      await becomesDue(id);
      await fails(id, "a", kind);
      await query("update llm_tasks set retry_at = 1 where id = $1", [id]);
      expect(await claimed("a")).toBe(0);
      await query("update workers set last_heartbeat = last_heartbeat + 1000 where id = 'a'");
      expect(await lease(id)).toBe("b");
      await api.post(`${TASKS}/${id}/complete`).send({ status: "error", error_kind: kind, metrics }).expect(200);
      await becomesDue(id);
      await api.delete(`${WORKERS}/a`).expect(200);
      expect(await lease(id)).toBe("b");
    },
  );

  it("without allow_fallback goes to the worker that had it first, and to no other", async () => {
    for (const name of ["a", "b"]) await aWorker(db, { name });
    const { id } = await aTask(db, { allow_fallback: false, retry: {} });
    await fails(id, "a", "timeout");
    await becomesDue(id);
    await api.post(`${WORKERS}/a/drain`).send({}).expect(200);
    expect(await claimed("b")).toBe(0);
    expect((await api.post(`${TASKS}/${id}/lease`).send({})).status).toBe(503);
    const { reason, workers } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toContain("No worker can take it now.");
    expect(workers.map(({ reasons }: { reasons: string[] }) => reasons)).toEqual([
      ["is drained"],
      ["may not have it: it is kept to worker a"],
    ]);
    await api.post(`${WORKERS}/a/resume`).expect(200);
    expect(await claimed("a")).toBe(1);
  });

  it("keeps what there was of the output, marked as incomplete", async () => {
    await aWorker(db, { name: "rpi" });
    const { id } = await aTask(db);
    await lease(id, "rpi");
    const body = { status: "error", error_kind: "max_turns", partial_output: "half an ans", metrics };
    const { artifact, result } = (await api.post(`${TASKS}/${id}/complete`).send(body).expect(200)).body;
    expect([artifact.content, result.incomplete]).toEqual(["half an ans", true]);
  });

  it("is 400 where a success has a kind, or an output comes twice", async () => {
    await aWorker(db, { name: "rpi" });
    const { id } = await aTask(db);
    await lease(id, "rpi");
    for (const [body, field] of [
      [{ status: "success", error_kind: "auth" }, "error_kind"],
      [{ status: "error", output: "a", partial_output: "b" }, "partial_output"],
    ] as const) {
      const { status, text } = await api.post(`${TASKS}/${id}/complete`).send({ ...body, metrics });
      expect([status, text]).toEqual([400, expect.stringContaining(field)]);
    }
  });
});

describe("an account at its limit", () => {
  beforeEach(async () => {
    for (const [name, account] of [
      ["a1", "max-1"],
      ["a2", "max-1"],
      ["b1", "max-2"],
    ])
      await aWorker(db, { name, account, capabilities: { max_concurrency: 4 } });
  });

  it("rests with all its workers until it resets, while others go on; record, explain, accounts and audit say so", async () => {
    const resets_at = Date.now() + 3_600_000;
    const { id } = await aTask(db);
    expect(await fails(id, "a1", "rate_limited", { resets_at })).toMatchObject({ status: "queued", attempts: 0 });
    for (const worker of ["a1", "a2"]) {
      expect((await workerOf(worker)).account_rest).toMatchObject({ kind: "rate_limited", until: resets_at });
      const { status, headers } = await claim(worker);
      expect(status).toBe(409);
      expect(Number(headers["retry-after"])).toBeGreaterThan(3_500);
      expect((await api.post(`${TASKS}/${id}/lease`).send({ worker_id: worker })).status).toBe(503);
    }
    expect(await accountOf("max-1")).toMatchObject({
      rest: { until: resets_at },
      workers: ["a1", "a2"],
      active_leases: 0,
    });
    expect(await accountOf("max-2")).toMatchObject({ rest: null, workers: ["b1"] });
    expect(await auditOf("max-1")).toEqual(["account_limited"]);
    await api.post(`${WORKERS}/b1/drain`).send({}).expect(200);
    const { reason, workers } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toContain(`Account max-1 is limited until ${new Date(resets_at).toISOString()}.`);
    expect(workers[0].reasons).toEqual([expect.stringContaining("account max-1 is at its limit")]);
    await api.post(`${WORKERS}/b1/resume`).expect(200);
    expect(await lease(id)).toBe("b1");
  });

  it("gets work again when its time has come, and when somebody resumes it", async () => {
    await fails((await aTask(db)).id, "a1", "rate_limited", { retry_after_ms: 3_600_000 });
    expect((await claim("a2")).status).toBe(409);
    await api.post(`${ACCOUNTS}/max-1/resume`).expect(200);
    expect(await auditOf("max-1")).toEqual(["account_limited", "account_resumed"]);
    expect(await claimed("a2")).toBe(1);
    await fails((await aTask(db)).id, "a1", "rate_limited", { resets_at: Date.now() + 1_000 });
    await expect.poll(async () => (await claim("a1")).status, { timeout: 20_000 }).not.toBe(409);
    await api.post(`${ACCOUNTS}/nobody/resume`).expect(404);
  });

  it.each([
    ["an hour where no time is given", {}, 3_600_000],
    ["8 days at most", { resets_at: Date.now() + 1e12 }, 8 * 86_400_000],
    ["a second at least", { resets_at: 1 }, 1_000],
  ])("rests for %s", async (_name, end, ms) => {
    await fails((await aTask(db)).id, "a1", "rate_limited", end);
    const { until } =
      (await query("select rest ->> 'until' as until from runtime_accounts where id = 'max-1'"))[0] ?? {};
    expect(Math.abs(Number(until) - Date.now() - ms)).toBeLessThan(20_000);
  });

  it("keeps the later of two ends", async () => {
    const resets_at = Date.now() + 7_200_000;
    const tasks = [await aTask(db), await aTask(db)];
    for (const { id } of tasks) await lease(id, "a1");
    for (const [n, { id }] of tasks.entries())
      await api
        .post(`${TASKS}/${id}/complete`)
        .send({ status: "error", error_kind: "rate_limited", resets_at: resets_at - n * 3_600_000, metrics })
        .expect(200);
    expect((await accountOf("max-1")).rest.until).toBe(resets_at);
  });

  it("is the one of a worker that registers with it meanwhile, and not of one that leaves it", async () => {
    await fails((await aTask(db)).id, "a1", "rate_limited");
    await aWorker(db, { name: "a3", account: "max-1" });
    await aWorker(db, { name: "a2", account: "max-3" });
    await aWorker(db, { name: "a1" });
    expect(
      (await Promise.all(["a1", "a2", "a3"].map(workerOf))).map(({ account, account_rest }) => [
        account,
        account_rest !== null,
      ]),
    ).toEqual([
      ["max-1", true],
      ["max-3", false],
      ["max-1", true],
    ]);
  });

  it("gets nothing from whoever asks at the same moment: no task is leased to it once it rests", async () => {
    for (let round = 0; round < 20; round++) {
      await query("truncate runtime_accounts, llm_tasks, leases, llm_results, audit_logs");
      await query("update workers set account_rest = null");
      const held = await aTask(db);
      await lease(held.id, "a1");
      for (let n = 0; n < 8; n++) await aTask(db);
      const limit = { status: "error", error_kind: "rate_limited", metrics };
      await Promise.all([
        api.post(`${TASKS}/${held.id}/complete`).send(limit).expect(200),
        ...["a1", "a2", "a1", "a2"].map((worker) => claim(worker)),
        api.post(`${WORKERS}`).send({ name: "a2", account: "max-1" }),
      ]);
      const order = await query(
        "select action, detail from audit_logs where action in ('task_leased', 'account_limited') and seq > (select min(seq) from audit_logs where action = 'account_limited')",
      );
      expect(order.filter(({ action, detail }) => action === "task_leased" && /worker a/.test(String(detail)))).toEqual(
        [],
      );
    }
  });
});

describe("an account of which most is used", () => {
  const windows = (used: number) => ({ windows: { five_hour: { used, resets_at: Date.now() + 3_600_000 } } });
  beforeEach(async () => {
    for (const name of ["a1", "a2"])
      await aWorker(db, { name, account: "max-1", capabilities: { max_concurrency: 4 } });
  });
  async function says(worker: string, said: object, { api: service } = { api }) {
    const { id } = await aTask(db);
    await lease(id, worker);
    await service
      .post(`${TASKS}/${id}/complete`)
      .send({ status: "success", output: "x", metrics, ...said })
      .expect(200);
  }

  it("gets one task at a time, over all its workers and whoever asks at once", async () => {
    await says("a1", windows(0.94));
    expect((await accountOf("max-1")).paced_until).toBeNull();
    await says("a1", windows(0.96));
    expect(await accountOf("max-1")).toMatchObject({
      windows: { five_hour: { used: 0.96 } },
      paced_until: expect.any(Number),
    });
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 6; n++) await aTask(db);
      const got = await Promise.all(["a1", "a2", "a1", "a2"].map((worker) => claimed(worker, { max_tasks: 4 })));
      const leased = await api.post(`${TASKS}/${(await aTask(db)).id}/lease`).send({});
      expect([got.reduce((sum, n) => sum + n, 0), leased.status]).toEqual([1, 503]);
      await query("truncate leases, llm_tasks");
    }
  });

  it("is so from the share of ACCOUNT_PACE_AT on, and never with 0", async () => {
    for (const [share, used, isPaced] of [
      ["0", 1, false],
      ["0.5", 0.49, false],
      ["0.5", 0.51, true],
    ] as const) {
      await says("a1", windows(used), await startApp(db, { env: { ACCOUNT_PACE_AT: share } }));
      expect([share, used, (await accountOf("max-1")).paced_until !== null]).toEqual([share, used, isPaced]);
    }
  });

  it("keeps 16 windows at most, none that is over, and is paced for 8 days at most", async () => {
    const named = (from: number, resets_at: number) =>
      Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`w${from + n}`, { used: 0.99, resets_at }]));
    await says("a1", { windows: named(0, Date.now() + 60_000) });
    await says("a1", { windows: named(100, 8.64e15) });
    await says("a1", { windows: { gone: { used: 1, resets_at: 1 } } });
    const { windows: kept, paced_until } = await accountOf("max-1");
    expect(Object.keys(kept).length).toBe(16);
    expect(paced_until - Date.now()).toBeLessThan(8 * 86_400_000 + 20_000);
    await api.post(`${ACCOUNTS}/max-1/resume`).expect(200);
    await says("a1", { windows: { gone: { used: 0, resets_at: 1 } } });
    expect((await accountOf("max-1")).paced_until).toBeNull();
  });

  it("is shown in explain, and ends with its window", async () => {
    await says("a1", windows(1));
    const { id } = await aTask(db);
    const explained = async () => (await api.get(`${TASKS}/${id}/explain`)).body;
    const idle = await explained();
    expect(idle.reason).toContain("2 worker(s) could take it now");
    expect(idle.workers.map(({ reasons }: { reasons: string[] }) => reasons)).toEqual([[], []]);
    await lease((await aTask(db)).id);
    const { workers } = await explained();
    expect(workers[1].reasons).toEqual([expect.stringContaining("account max-1, which gets one task at a time")]);
    await query("update workers set account_paced_until = 1");
    expect(await claimed("a2")).toBe(1);
  });
});

describe("a worker in trouble", () => {
  const until = async (id: string) => (await workerOf(id)).rest?.until ?? null;

  it.each(["auth", "no_cli"] as const)(
    "%s: rests until it registers anew, or is resumed; its task goes to others",
    async (kind) => {
      for (const name of ["a", "b"]) await aWorker(db, { name });
      const { id } = await aTask(db);
      await fails(id, "a", kind);
      expect(await workerOf("a")).toMatchObject({
        rest: { kind, until: null },
        capabilities: { claude_cli: kind === "auth" },
      });
      expect((await claim("a")).status).toBe(409);
      expect(await lease(id)).toBe("b");
      await api.post(`${WORKERS}/a/resume`).expect(200);
      expect(await until("a")).toBeNull();
      await fails((await aTask(db)).id, "a", kind);
      await aWorker(db, { name: "a", capabilities: { claude_cli: true } });
      expect(await workerOf("a")).toMatchObject({ rest: null, capabilities: { claude_cli: true } });
      expect(await auditOf("a")).toEqual(expect.arrayContaining(["worker_rested"]));
    },
  );

  it("rests after three in a row, for longer each time, and then has one slot until a success", async () => {
    await aWorker(db, { name: "a", capabilities: { max_concurrency: 4 } });
    for (const kind of ["overloaded", "timeout", "crashed"] as const) {
      expect(await until("a")).toBeNull();
      await fails((await aTask(db)).id, "a", kind);
    }
    expect((await until("a")) - Date.now()).toBeLessThan(61_000);
    expect((await claim("a")).status).toBe(409);
    const restEnds = () => query(`update workers set rest = jsonb_set(rest, '{until}', '1') where id = 'a'`);
    await restEnds();
    await fails((await aTask(db)).id, "a", "provider_error");
    expect((await until("a")) - Date.now()).toBeGreaterThan(100_000);
    await restEnds();
    await query("truncate llm_tasks");
    for (let n = 0; n < 3; n++) await aTask(db);
    const trial = await claim("a", { max_tasks: 3 });
    expect(trial.body.tasks?.length).toBe(1);
    await api
      .post(`${TASKS}/${trial.body.tasks[0].task.id}/complete`)
      .send({ status: "success", output: "x", metrics })
      .expect(200);
    expect(await claimed("a", { max_tasks: 3 })).toBe(2);
  });
});

it("docs/outcomes.md has the rules as they are", () => {
  const page = readFileSync(new URL("../../docs/outcomes.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \|/gm)].map(([, kind, task, attempt]) => [
    kind,
    task,
    attempt,
  ]);
  const words = {
    requeue: "queued again at once",
    delay: "queued again after a delay",
    "as retry says": "as `retry` says",
    fail: "`failed`",
  };
  expect(rows).toEqual(ERROR_KINDS.map((kind) => [kind, words[RULES[kind].task], RULES[kind].attempt]));
});
