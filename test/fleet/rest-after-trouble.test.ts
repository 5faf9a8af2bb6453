import { describe, expect, it } from "vitest";
import { metrics, serviceForAttempts } from "../support/attempts.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { api, db, query, lease, claim, claimed, fails, workerOf, audited } = await serviceForAttempts();
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";

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
      expect(await audited("a")).toEqual(expect.arrayContaining(["worker_rested"]));
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
