import { beforeEach, describe, expect, it } from "vitest";
import { autoDispatchOnce } from "../../src/queue/auto-dispatch.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";
import { WORKER } from "../support/record-shapes.ts";

const { db, query } = await createTestDatabase();
const { api, dispatcher, logged } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";

beforeEach(async () => {
  await query("truncate workers, llm_tasks, leases, llm_results, audit_logs");
  for (const name of ["broken", "sound"]) await aWorker(db, { name, capabilities: { max_concurrency: 32 } });
});

type Ending = { status?: "success" | "error"; after?: number };

/** The worker takes the task, and completes it so many milliseconds later. */
async function does(worker: string, taskId: string, { status = "error", after = 0 }: Ending = {}) {
  await api.post(`${TASKS}/${taskId}/lease`).send({ worker_id: worker }).expect(201);
  await query("update leases set started_at = started_at - $2 where task_id = $1 and status = 'active'", [
    taskId,
    after,
  ]);
  const metrics = { duration_ms: 1 };
  await api.post(`${TASKS}/${taskId}/complete`).send({ status, error_message: "not found", metrics }).expect(200);
}

const ends = async (worker: string, ending?: Ending) => does(worker, (await aTask(db)).id, ending);
const succeeds = (worker: string) => ends(worker, { status: "success" });
const restOf = async (worker: string) => (await api.get(`${WORKERS}/${worker}`)).body.rest;
const claim = (worker_id: string, more = {}) => api.post(`${TASKS}/claim`).send({ worker_id, ...more });
/** Ends the worker's rest, and sets its end so far back that all tasks which the worker has had began after it. */
const restEnds = (worker: string) =>
  query(`update workers set rest = jsonb_set(rest, '{until}', '1') where id = $1`, [worker]);
const auditOf = async (worker: string) =>
  (await query("select action, actor from audit_logs where entity_id = $1 order by timestamp, id", [worker]))
    .filter(({ action }) => /worker_(rested|resumed)/.test(action))
    .map(({ action, actor }) => `${action} by ${actor}`);

describe("a worker whose tasks fail at once while another one succeeds", () => {
  it("rests after the third, gets nothing from anybody, and is heard of in record, explain and audit", async () => {
    await succeeds("sound");
    await ends("broken");
    await ends("broken");
    expect(await restOf("broken")).toBeNull();
    await ends("broken");
    expect(await restOf("broken")).toEqual({
      kind: "failures",
      reason: "3 of its tasks in a row failed within seconds, while those of others did not",
      until: expect.closeTo(Date.now() + 5_000, -4),
    });
    await query(`update workers set rest = jsonb_set(rest, '{until}', $1) where id = 'broken'`, [
      `${Date.now() + 600_000}`,
    ]);
    const { body } = await api.get(`${WORKERS}/broken`);
    expect(body).toEqual({ ...WORKER, leases: [] });
    expect(await auditOf("broken")).toEqual(["worker_rested by runtime"]);

    const { id } = await aTask(db);
    const sentence = `Worker broken rests until ${new Date(body.rest.until).toISOString()}: ${body.rest.reason}`;
    const claimed = await claim("broken");
    expect([claimed.status, claimed.body]).toEqual([409, { error: sentence }]);
    expect(Number(claimed.headers["retry-after"])).toBeGreaterThan(0);
    expect(Number(claimed.headers["retry-after"])).toBeLessThanOrEqual(600);
    const named = await api.post(`${TASKS}/${id}/lease`).send({ worker_id: "broken" });
    expect([named.status, named.body]).toEqual([503, { error: sentence }]);
    const { reasons } = (await api.get(`${TASKS}/${id}/explain`)).body.workers[0];
    expect(reasons).toEqual([sentence.replace("Worker broken ", "")]);
    await query("update workers set status = 'offline' where id = 'sound'");
    expect((await api.post(`${TASKS}/${id}/lease`).send({})).status).toBe(503);
    await query("update workers set url = 'http://127.0.0.1:9' where id = 'broken'");
    const log = { warn: () => {} } as unknown as Parameters<typeof autoDispatchOnce>[3];
    expect(await autoDispatchOnce(db, dispatcher, undefined, log)).toBe(0);
    expect((await query("select attempts from llm_tasks where id = $1", [id]))[0]).toEqual({ attempts: 0 });
  });

  it("rests again after the next one, twice as long each time up to five minutes, until it has a success", async () => {
    await succeeds("sound");
    for (let n = 0; n < 2; n++) await ends("broken");
    for (let n = 0; n < 8; n++) {
      await ends("broken");
      await restEnds("broken");
      expect(await restOf("broken")).toBeNull();
    }
    const rests = "select detail from audit_logs where action = 'worker_rested' order by timestamp, id";
    const seconds = (await query(rests)).map(({ detail }) => Number(/rests for (\d+) s: /.exec(detail)?.[1]));
    expect(seconds).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
    await succeeds("broken");
    await ends("broken");
    await ends("broken");
    expect(await restOf("broken")).toBeNull();
    await ends("broken");
    expect((await query(`${rests} offset 8`))[0]?.detail).toContain("rests for 5 s");
  });

  it("rests once for tasks that it had taken before", async () => {
    await succeeds("sound");
    for (let n = 0; n < 8; n++) await aTask(db);
    const { tasks } = (await claim("broken", { max_tasks: 8 })).body;
    const fail = ({ task }: { task: { id: string } }) =>
      api.post(`${TASKS}/${task.id}/complete`).send({ status: "error", metrics: { duration_ms: 1 } });
    await Promise.all(tasks.map(fail));
    expect(await auditOf("broken")).toEqual(["worker_rested by runtime"]);
  });

  it("is resumed by hand, and may fail three times again", async () => {
    await succeeds("sound");
    for (let n = 0; n < 3; n++) await ends("broken");
    expect((await api.post(`${WORKERS}/broken/resume`)).body.rest).toBeNull();
    await ends("broken");
    await ends("broken");
    expect(await restOf("broken")).toBeNull();
    expect(await auditOf("broken")).toEqual(["worker_rested by runtime", "worker_resumed by admin"]);
  });
});

describe("nobody rests", () => {
  it("while nobody has succeeded for an hour, or everybody fails", async () => {
    for (let n = 0; n < 4; n++) await ends("broken");
    expect(await restOf("broken")).toBeNull();
    await succeeds("sound");
    await query("update workers set succeeded_at = succeeded_at - 3600001 where id = 'sound'");
    await ends("broken");
    expect(await restOf("broken")).toBeNull();
    await succeeds("sound");
    await ends("sound");
    await ends("broken");
    expect(await restOf("broken")).toBeNull();
  });

  it("for failures that took their time, or with a success between them", async () => {
    await succeeds("sound");
    for (let n = 0; n < 4; n++) await ends("broken", { after: 11_000 });
    for (let n = 0; n < 6; n++) await ends("broken", n % 3 === 2 ? { status: "success" } : {});
    for (let n = 0; n < 6; n++) await ends("broken", n % 3 === 2 ? { after: 11_000 } : {});
    expect(await auditOf("broken")).toEqual([]);
  });

  it("for tasks that fail wherever they are tried, or for one that is tried again and again", async () => {
    const bad = () => aTask(db, { retry: { base_delay_sec: 0 }, max_attempts: 9 });
    await succeeds("sound");
    const { id } = await bad();
    for (let n = 0; n < 5; n++) await does("broken", id);
    for (let n = 0; n < 5; n++) {
      const { id } = await bad();
      await does("sound", id);
      await succeeds("sound");
      await does("broken", id);
    }
    expect(await auditOf("broken")).toEqual([]);
  });
});

describe("POST /api/runtime/workers/:id/rest", () => {
  it("is a worker's own word, audited, ends by itself, and gives way to no shorter rest of another kind", async () => {
    const key = await createKey(db, undefined, "broken", "work");
    const rest = (worker: string, body: object) =>
      api.post(`${WORKERS}/${worker}/rest`).set("X-Runtime-API-Key", key).send(body);
    const answer = await rest("broken", { reason: "The disk is full.", seconds: 60 });
    expect([answer.status, answer.body]).toEqual([200, WORKER]);
    expect(answer.body.rest).toMatchObject({ kind: "worker", reason: "The disk is full." });
    expect(await auditOf("broken")).toEqual(["worker_rested by broken"]);
    const again = await rest("broken", { seconds: 5 });
    expect(again.body.rest.until).toBeLessThan(answer.body.rest.until);
    await aTask(db);
    expect((await claim("broken")).body.error).toContain(again.body.rest.reason);
    await restEnds("broken");
    expect((await claim("broken")).status).toBe(200);

    await rest("broken", { reason: "Its CLI is gone.", seconds: 60 });
    await aWorker(db, { name: "broken", status: "offline" });
    expect(await restOf("broken")).toMatchObject({ reason: "Its CLI is gone." });
    await aWorker(db, { name: "broken", status: "online" });
    expect(await restOf("broken")).toBeNull();

    const longer = { kind: "failures", reason: "r", until: 4e12 };
    await query("update workers set rest = $1 where id = 'broken'", [JSON.stringify(longer)]);
    expect((await rest("broken", { seconds: 5 })).body.rest).toEqual(longer);
    expect((await rest("sound", { seconds: 5 })).status).toBe(403);
  });

  it("without an end lasts until somebody resumes it", async () => {
    await query(`update workers set rest = '{"kind": "worker", "reason": "r", "until": null}' where id = 'broken'`);
    const { status, body, headers } = await claim("broken");
    expect([status, body.error, headers["retry-after"]]).toEqual([
      409,
      "Worker broken rests until somebody resumes it: r",
      "300",
    ]);
    await api.post(`${WORKERS}/broken/resume`).expect(200);
    expect((await claim("broken")).status).toBe(204);
  });

  it("refuses what makes no sense, and a worker that is not there", async () => {
    for (const body of [{}, { seconds: 0 }, { seconds: 3_601 }, { seconds: 5, reason: "x".repeat(1_001) }])
      await api.post(`${WORKERS}/broken/rest`).send(body).expect(400);
    await api.post(`${WORKERS}/nobody/rest`).send({ seconds: 5 }).expect(404);
    expect(logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});
