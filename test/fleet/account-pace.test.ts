import { beforeEach, describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { metrics, serviceForAttempts } from "../support/attempts.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { api, db, query, lease, claimed, accountOf } = await serviceForAttempts();
const TASKS = "/api/runtime/llm-tasks";
const ACCOUNTS = "/api/runtime/accounts";

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
