import { beforeEach, describe, expect, it } from "vitest";
import { restInWords } from "../../src/fleet/worker-rest.ts";
import { metrics, serviceForAttempts } from "../support/attempts.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { api, db, query, lease, claim, claimed, fails, workerOf, accountOf, audited } = await serviceForAttempts();
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";
const ACCOUNTS = "/api/runtime/accounts";

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
    expect(await audited("max-1")).toEqual(["account_limited"]);
    await api.post(`${WORKERS}/b1/drain`).send({}).expect(200);
    const { reason, workers } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toContain(`Account max-1 is limited until ${new Date(resets_at).toISOString()}.`);
    expect(workers[0].reasons).toEqual([expect.stringContaining("account max-1 is at its limit")]);
    await api.post(`${WORKERS}/b1/resume`).expect(200);
    expect(await lease(id)).toBe("b1");
  });

  it("says once until when it rests, where the CLI's message says it too", () => {
    const [reason, end] = ["account max-1 is at its limit: usage limit reached", "2026-11-28T05:00:00.000Z"];
    const rest = { kind: "rate_limited", reason: `${reason} until ${end}`, until: Date.parse(end) } as const;
    expect(restInWords(rest)).toBe(`rests until ${end}: ${reason}`);
    expect(restInWords({ ...rest, until: rest.until + 1 })).toContain(`: ${reason} until ${end}`);
  });

  it("gets work again when its time has come, and when somebody resumes it", async () => {
    await fails((await aTask(db)).id, "a1", "rate_limited", { retry_after_ms: 3_600_000 });
    expect((await claim("a2")).status).toBe(409);
    await api.post(`${ACCOUNTS}/max-1/resume`).expect(200);
    expect(await audited("max-1")).toEqual(["account_limited", "account_resumed"]);
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
