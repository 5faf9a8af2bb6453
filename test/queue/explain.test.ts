import { describe, expect, it } from "vitest";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const WORKERS = "/api/runtime/workers";

describe("GET /api/runtime/llm-tasks/:id/explain", () => {
  it("says when it is due also where there are no workers", async () => {
    const later = Date.now() + 60_000;
    const [now, waiting] = [await aTask(db, { not_before: 1 }), await aTask(db, { not_before: later })];
    const explain = async (id: string) => (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(await explain(now.id)).toMatchObject({
      due_at: null,
      reason: expect.stringMatching(/none is registered yet.*npm run worker/),
    });
    expect(await explain(waiting.id)).toMatchObject({ due_at: later });
  });

  it("says of each worker why it has not got a queued task", async () => {
    const task = await aTask(db, { requires: ["gpu", "arm64"] });
    const able = { capabilities: { labels: ["gpu", "arm64"] } };
    await aWorker(db, { name: "able", ...able });
    await aWorker(db, { name: "unlabelled", capabilities: { labels: ["gpu"] } });
    await aWorker(db, { name: "drained", ...able });
    await api.post(`${WORKERS}/drained/drain`).send({ reason: "new disk" });
    await aWorker(db, { name: "mute", capabilities: { claude_cli: false, labels: ["gpu", "arm64"] } });
    await aLeasedTask(db, { worker: { name: "full", ...able } });
    await aWorker(db, { name: "offline", ...able });
    await query("update workers set status = 'offline', last_heartbeat = 0 where id = 'offline'");
    await aWorker(db, { name: "refusing", url: "http://127.0.0.1:9", ...able });
    await query("update workers set refusals = 4, paused_until = 4e12 where id = 'refusing'");
    const { status, body } = await api.get(`${TASKS}/${task.id}/explain`);
    expect([status, body]).toEqual([
      200,
      {
        task_id: task.id,
        status: "queued",
        due_at: null,
        last_error: null,
        holder: null,
        reason: "1 worker(s) could take it now; nobody has leased, claimed or dispatched it yet.",
        because: [{ code: "takeable", count: 1 }],
        workers: [
          { worker_id: "able", reasons: [], because: [] },
          {
            worker_id: "drained",
            reasons: ["is drained: new disk"],
            because: [{ code: "drained", said: "new disk" }],
          },
          { worker_id: "full", reasons: ["is full: 1 of 1"], because: [{ code: "full", count: 1, of: 1 }] },
          {
            worker_id: "mute",
            reasons: ["has no CLI, so that it gets only what it claims"],
            because: [{ code: "no_cli" }],
          },
          {
            worker_id: "offline",
            reasons: ["is offline, last seen 1970-01-01T00:00:00.000Z"],
            because: [{ code: "not_online", state: "offline", since: 0 }],
          },
          {
            worker_id: "refusing",
            reasons: ["refused 4 times; left alone until 2096-10-02T07:06:40.000Z"],
            because: [{ code: "left_alone", count: 4, until: 4e12 }],
          },
          {
            worker_id: "unlabelled",
            reasons: ["lacks the label(s) arm64"],
            because: [{ code: "lacks_labels", labels: ["arm64"] }],
          },
        ],
      },
    ]);
    await query("update workers set last_heartbeat = last_heartbeat - 10000 where id = 'refusing'");
    const leased = await api.post(`${TASKS}/${task.id}/lease`);
    expect(leased.body.worker.id).toBe("able");
    // It asks by itself.
    await aTask(db, { requires: ["gpu", "arm64"] });
    expect((await api.post(`${TASKS}/claim`).send({ worker_id: "mute" })).status).toBe(200);
  });

  it("names the labels that no online worker has, or that none has together", async () => {
    await aWorker(db, { name: "red", capabilities: { labels: ["red", "paint"] } });
    await aWorker(db, { name: "blue", capabilities: { labels: ["blue", "paint"] } });
    const explain = async (requires: string[]) => {
      const { reason, because } = (await api.get(`${TASKS}/${(await aTask(db, { requires })).id}/explain`)).body;
      return [reason, because];
    };
    expect(await explain(["red", "green"])).toEqual([
      "No worker can take it now. No worker that is online has the label(s) green.",
      [{ code: "not_takeable" }, { code: "labels_missing", labels: ["green"] }],
    ]);
    expect(await explain(["red", "blue"])).toEqual([
      "No worker can take it now. No worker that is online has all of the labels red, blue.",
      [{ code: "not_takeable" }, { code: "labels_scattered", labels: ["red", "blue"] }],
    ]);
  });

  it("names first the workers that take it once they are free or resumed, and then the limits of accounts", async () => {
    const labels = { capabilities: { labels: ["oven"] } };
    await aLeasedTask(db, { worker: { name: "box", ...labels } });
    await aWorker(db, { name: "away", ...labels });
    await api.post(`${WORKERS}/away/drain`).send({ reason: "new disk." });
    await aWorker(db, { name: "pi", account: "max-2", ...labels });
    const rest = `jsonb_build_object('kind', 'usage_limit', 'reason', 'limit', 'until', 4000000000000)`;
    await query(`update workers set account_rest = ${rest} where id = 'pi'`);
    // A worker that will not take it for another reason too is not named.
    await aLeasedTask(db, { worker: { name: "gone", ...labels } });
    await query("update workers set status = 'offline' where id = 'gone'");
    await aLeasedTask(db, { worker: { name: "limited", account: "max-2", ...labels } });
    await query(`update workers set account_rest = ${rest} where id = 'limited'`);
    await aWorker(db, { name: "limited and gone", account: "max-3", ...labels });
    await query(`update workers set status = 'offline', account_rest = ${rest} where id = 'limited and gone'`);
    const { id } = await aTask(db, { requires: ["oven"] });
    const { reason, because } = (await api.get(`${TASKS}/${id}/explain`)).body;
    expect(reason).toBe(
      "Worker box is busy (1 of 1) and takes it when it is free. Worker away is drained: new disk. Resume it to have it take the task. " +
        "No worker can take it now. Account max-2 is limited until 2096-10-02T07:06:40.000Z.",
    );
    expect(because).toEqual([
      { code: "worker_full", worker_id: "box", count: 1, of: 1 },
      { code: "worker_drained", worker_id: "away", said: "new disk." },
      { code: "not_takeable" },
      { code: "account_limited", account: "max-2", until: 4e12 },
    ]);
  });

  it("names the worker that rests, and why", async () => {
    await aWorker(db, { name: "tired", capabilities: { labels: ["kiln"] } });
    const rest = { kind: "auth", reason: "Not logged in · Please run /login", until: null };
    await query("update workers set rest = $1 where id = 'tired'", [rest]);
    const { id } = await aTask(db, { requires: ["kiln"] });
    expect((await api.get(`${TASKS}/${id}/explain`)).body).toMatchObject({
      reason:
        "Worker tired rests until somebody resumes it: Not logged in · Please run /login. No worker can take it now.",
      because: [
        { code: "worker_rests", worker_id: "tired", kind: "auth", said: rest.reason },
        { code: "not_takeable" },
      ],
    });
  });

  it("names the tools that its CLI was not allowed to use, where it is completed all the same", async () => {
    const { task } = await aLeasedTask(db);
    const metrics = { duration_ms: 1, denied_tools: ["Bash", "WebFetch"] };
    await api.post(`${TASKS}/${task.id}/complete`).send({ status: "success", output: "o", metrics }).expect(200);
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body).toMatchObject({
      reason:
        "It is completed: its results and artifacts have the output. But its CLI was not allowed to use: Bash, WebFetch.",
      because: [
        { code: "in_state", state: "completed" },
        { code: "tools_denied", said: "Bash, WebFetch" },
      ],
    });
    const history = (await api.get(`${TASKS}/${task.id}/history`)).body;
    expect(history.at(-1).detail).toMatch(/duration: 1ms, tools not allowed: Bash, WebFetch$/);
  });

  it("says when it will be due, who holds it, and that it has ended", async () => {
    const later = Date.now() + 60_000;
    const waiting = await aTask(db, { not_before: later });
    expect((await api.get(`${TASKS}/${waiting.id}/explain`)).body).toMatchObject({
      due_at: later,
      reason: `It is not due before ${new Date(later).toISOString()}.`,
      because: [{ code: "not_due", until: later }],
    });
    const { task, worker, lease } = await aLeasedTask(db);
    await query("update leases set started_at = 1000, last_heartbeat = 2000, expires_at = 3000 where id = $1", [
      lease.id,
    ]);
    const held = (await api.get(`${TASKS}/${task.id}/explain`)).body;
    expect(held).toMatchObject({
      status: "leased",
      holder: { worker_id: worker.id, lease_id: lease.id, since: 1_000, last_heartbeat: 2_000, expires_at: 3_000 },
      because: [{ code: "held", worker_id: worker.id, since: 1_000, until: 3_000 }],
      reason: `Worker ${worker.id} holds it under lease ${lease.id} since 1970-01-01T00:00:01.000Z, last heard of at 1970-01-01T00:00:02.000Z. It comes back at 1970-01-01T00:00:03.000Z, unless the worker is heard of again.`,
    });
    await api.post(`${TASKS}/${task.id}/cancel`);
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body.reason).toMatch(
      /It is cancelled when the worker is next heard of, and at 1970-01-01T00:00:03.000Z at the latest, when its lease ends\.$/,
    );
    await api.post(`${TASKS}/${waiting.id}/cancel`);
    expect((await api.get(`${TASKS}/${waiting.id}/explain`)).body.reason).toContain("It is cancelled");
    expect((await api.get(`${TASKS}/nobody/explain`)).status).toBe(404);
  });
});

describe("what an attempt said that ended without success", () => {
  const at = (id: string, verb: string, body: object) => api.post(`${TASKS}/${id}/${verb}`).send(body);
  const fail = (id: string, error_message: string | null) =>
    at(id, "complete", { status: "error", error_message, metrics: { duration_ms: 1 } }).expect(200);

  it("is on the record and in the explanation, also while it is tried again, until a success", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { retry: { base_delay_sec: 0 } } });
    const said = `${"x".repeat(498)}🌱 and more`;
    const { task: waiting } = (await fail(task.id, said)).body;
    expect(waiting).toMatchObject({ status: "queued", last_error: `${"x".repeat(498)}\ufffd…` });
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body).toMatchObject({
      last_error: waiting.last_error,
      reason: expect.stringContaining(`Before, an attempt ended: ${waiting.last_error}`),
    });
    await at(task.id, "lease", { worker_id: worker.id }).expect(201);
    expect((await api.get(`${TASKS}/${task.id}`)).body.last_error).toBe(waiting.last_error);
    await at(task.id, "complete", { status: "success", output: "o", metrics: { duration_ms: 1 } }).expect(200);
    expect((await api.get(`${TASKS}/${task.id}`)).body).toMatchObject({ status: "completed", last_error: null });
  });

  it("is the explanation of a failed and of a dead task", async () => {
    const failed = await aLeasedTask(db);
    expect((await fail(failed.task.id, null)).body.task.last_error).toContain("without a message");
    expect((await api.get(`${TASKS}/${failed.task.id}/explain`)).body.reason).toMatch(/^It failed\. What went wrong: /);
    expect((await at(failed.task.id, "requeue", {})).body.last_error).toContain("without a message");
    const dead = await aLeasedTask(db, { task: { max_attempts: 1 } });
    await makeOverdue(dead.task.id);
    await sweepOnce(db);
    const why = `The lease of worker ${dead.worker.id} ended: no heartbeat before it was overdue`;
    expect((await api.get(`${TASKS}/${dead.task.id}/explain`)).body).toMatchObject({
      last_error: why,
      because: [{ code: "dead", count: 1, of: 1 }, { code: "said", said: why }, { code: "may_be_requeued" }],
      reason: `It is dead after 1 of 1 attempts. What went wrong: ${why}. Requeue it to have it tried again.`,
    });
  });

  it.each([
    ["max_turns", "Replay it with other limits to have it tried again."],
    ["prompt_too_long", "Replay it with a shorter prompt to have it tried again."],
    ["invalid_input", "Replay it with another model, prompt or schema, whichever was refused, to have it tried again."],
    ["crashed", "Requeue it to have it tried again."],
  ])("has its kind, and advice that helps: %s", async (error_kind, advice) => {
    const { task } = await aLeasedTask(db, { task: { max_attempts: 1 } });
    const body = { status: "error", error_kind, error_message: "No.", metrics: { duration_ms: 1 } };
    await at(task.id, "complete", body).expect(200);
    expect((await api.get(`${TASKS}/${task.id}/explain`)).body).toMatchObject({
      reason: expect.stringMatching(new RegExp(`What went wrong \\(${error_kind}\\): No\\. ${advice}$`)),
      because: expect.arrayContaining([{ code: "said", said: "No.", kind: error_kind }]),
    });
    const history = (await api.get(`${TASKS}/${task.id}/history`)).body;
    expect(history.map(({ detail }: { detail: string }) => detail).join()).toContain(`ms, ${error_kind}: No.`);
  });

  it("comes with artifacts that say which of them counts", async () => {
    const { task, worker } = await aLeasedTask(db, { task: { retry: { base_delay_sec: 0 } } });
    const { artifact } = (await fail(task.id, "no")).body;
    const ofTask = async () =>
      (await api.get(`/api/runtime/artifacts?task_id=${task.id}`)).body.map(
        (one: { accepted: boolean }) => one.accepted,
      );
    expect([artifact.accepted, await ofTask()]).toEqual([false, [false]]);
    await at(task.id, "lease", { worker_id: worker.id }).expect(201);
    const done = { status: "success", output: "o", metrics: { duration_ms: 1 } };
    const { artifact: counts } = (await at(task.id, "complete", done)).body;
    expect([counts.accepted, await ofTask()]).toEqual([true, [true, false]]);
    expect((await api.get(`/api/runtime/artifacts/${counts.id}`)).body).toEqual(counts);
  });
});
