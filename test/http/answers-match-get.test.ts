/** Every answer that shows a record shows what a GET shows after it, and only fields of that record, over a database that has more columns. */
import { randomUUID } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import type { RequestedColumn } from "../../src/contract/creation-fields.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { startScriptedAgent } from "../support/scripted-agent.ts";

const { db, query } = await createTestDatabase();
const LATER = "a column of a later version";
for (const table of [
  "llm_tasks",
  "leases",
  "workers",
  "runtime_artifacts",
  "llm_results",
  "audit_logs",
  "runtime_accounts",
])
  await query(`alter table ${table} add column later text not null default '${LATER}'`);
/** An agent that works on what it is given until it is closed. */
const agent = await startScriptedAgent(() => {});
afterAll(agent.close);
const { api } = await startApp(db, { env: { CALLBACK_SECRET: "whsec_bmV3LWNhbGxiYWNrLXNlY3JldC1vZi0zMmI=" } });
const R = "/api/runtime";
const TASKS = `${R}/llm-tasks`;

async function answer(asking: ReturnType<typeof api.get>, status = 200) {
  const { status: answered, body, text } = await asking;
  expect([answered, text]).toEqual([status, expect.not.stringContaining(LATER)]);
  return body;
}
const get = (path: string) => answer(api.get(`${R}/${path}`));
const post = (path: string, body: object, status?: number) => answer(api.post(`${R}/${path}`).send(body), status);

const taskOf = (id: string) => get(`llm-tasks/${id}`);
const leaseOf = async (id: string) => (await get("leases")).find((lease: { id: string }) => lease.id === id);
async function workerOf(id: string) {
  const { leases: _leases, ...worker } = await get(`workers/${id}`);
  return worker;
}

/** A request with a value in every field; the compiler asks for the value of a new one. */
const REQUEST = {
  context_id: "garden",
  agent_slug: "writer",
  prompt: "Write a haiku. 🌱",
  context_hints: ["spring", "-0"],
  policy: { timeout_sec: 60, budget: { usd: 1.5 }, model: "a-model", preferred_labels: ["gpu"] },
  desired_format: "markdown",
  max_attempts: 2,
  priority: 5,
  requires: ["linux"],
  concurrency_key: "the-garden",
  prefers: ["gpu", "ssd"],
  queue_ttl_sec: 3_600,
  not_before: 1,
  retry: { backoff: "linear", base_delay_sec: 0.5, max_delay_sec: 2 },
  agent_kind: "cli",
  structured_input: "a text",
  attachments: [{ type: "inline", mime_type: "text/plain", content: "hello" }],
  tracing: { trace_id: "t", metadata: { a: [1, -0, 1e21] } },
  allow_fallback: false,
  output_schema: { type: "object" },
  keep_transcript: true,
  limits: { max_usd: 2.25, max_tokens: 1_000_000, max_turns: 9 },
  resume: true,
  callback_url: "https://example.com/told",
} satisfies Record<RequestedColumn, unknown>;
const PLAIN = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };
let made = 0;

/** A task, the worker that holds it, and its lease. */
async function held(request: object = PLAIN) {
  made += 1;
  const worker = `worker-${made}`;
  await post("workers", { name: worker, capabilities: { labels: ["linux"] } }, 201);
  const { id } = await post("llm-tasks", request, 201);
  const { lease } = await post(`llm-tasks/${id}/lease`, { worker_id: worker }, 201);
  return { id, worker, lease_id: lease.id };
}

describe("a task that is", () => {
  it.each([
    ["with every field", REQUEST],
    ["with few fields", PLAIN],
  ])("created %s, and created again", async (_what, request) => {
    const key = randomUUID();
    const create = () => api.post(TASKS).set("Idempotency-Key", key).send(request);
    const task = await answer(create(), 201);
    expect(task).toMatchObject(JSON.parse(JSON.stringify(request)));
    expect(await taskOf(task.id)).toEqual(task);
    expect(await answer(create())).toEqual(task);
    expect((await get("llm-tasks")).find(({ id }: { id: string }) => id === task.id)).toEqual(task);
    expect((await get("runs")).find(({ id }: { id: string }) => id === task.id)).toEqual(task);
  });

  it("created from another", async () => {
    const { id } = await post("llm-tasks", REQUEST, 201);
    const task = await post(`llm-tasks/${id}/replay`, { changes: { prompt: "Write a sonnet." } }, 201);
    expect(task).toMatchObject({ ...JSON.parse(JSON.stringify(REQUEST)), prompt: "Write a sonnet." });
    expect(await taskOf(task.id)).toEqual(task);
  });

  it("cancelled, requeued or released", async () => {
    const { id: waiting } = await post("llm-tasks", PLAIN, 201);
    expect(await post(`llm-tasks/${waiting}/cancel`, {})).toEqual(await taskOf(waiting));
    const { id, lease_id } = await held(REQUEST);
    expect(await post(`llm-tasks/${id}/cancel`, { reason: "enough" })).toEqual(await taskOf(id));
    expect(await post(`llm-tasks/${id}/release`, { lease_id })).toEqual(await taskOf(id));
    const { id: failing } = await held();
    await post(`llm-tasks/${failing}/complete`, { status: "error", error_message: "no", metrics: { duration_ms: 1 } });
    expect(await post(`llm-tasks/${failing}/requeue`, {})).toEqual(await taskOf(failing));
  });
});

describe("a lease that is", () => {
  it("made, with its worker, and kept alive", async () => {
    await post("workers", { name: "leaser" }, 201);
    const { id } = await post("llm-tasks", PLAIN, 201);
    const { lease, worker } = await post(`llm-tasks/${id}/lease`, { worker_id: "leaser", ttl_seconds: 7 }, 201);
    expect(await leaseOf(lease.id)).toEqual(lease);
    // What the worker had before this lease is what the router went by.
    expect(await workerOf("leaser")).toEqual({ ...worker, active_leases: worker.active_leases + 1 });
    const beat = await post(`llm-tasks/${id}/heartbeat`, { lease_id: lease.id, progress: 0.5 });
    expect(await leaseOf(lease.id)).toEqual(beat.lease);
    expect(beat.expires_at).toBe(beat.lease.expires_at);
    expect((await get("workers/leaser")).leases).toEqual([beat.lease]);
  });

  it("claimed, with its task", async () => {
    await post("workers", { name: "claimer", capabilities: { labels: ["linux", "claims"], max_concurrency: 9 } }, 201);
    await post("llm-tasks", { ...REQUEST, requires: ["claims"] }, 201);
    await post("llm-tasks", { ...PLAIN, requires: ["claims"] }, 201);
    const { tasks } = await post("llm-tasks/claim", { worker_id: "claimer", max_tasks: 9, agent_slugs: ["writer"] });
    expect(tasks.length).toBeGreaterThanOrEqual(2);
    for (const { task, lease } of tasks) {
      expect(await taskOf(task.id)).toEqual(task);
      expect(await leaseOf(lease.id)).toEqual(lease);
    }
  });

  it("made by a dispatch", async () => {
    await post("workers", { name: "dispatched", url: agent.url }, 201);
    const { id } = await post("llm-tasks", PLAIN, 201);
    const { lease_id, worker_id, task_id } = await post(`llm-tasks/${id}/dispatch`, { worker_id: "dispatched" });
    expect(await taskOf(id)).toMatchObject({ id: task_id, lease_id, worker_id });
    expect(await leaseOf(lease_id)).toMatchObject({ id: lease_id, task_id, worker_id });
  });
});

describe("a completion", () => {
  const metrics = { duration_ms: 5, input_tokens: 7, cost_usd: 0.25, model: "a-model" };

  async function expectEcho(id: string, body: object) {
    const { task, artifact, result } = await post(`llm-tasks/${id}/complete`, body);
    expect(await taskOf(id)).toEqual(task);
    expect(await get(`artifacts/${artifact.id}`)).toEqual(artifact);
    expect(await get(`artifacts?task_id=${id}`)).toContainEqual(artifact);
    expect(await get(`llm-tasks/${id}/results`)).toEqual([result]);
    // A task that is tried again has no outcome yet.
    const outcome = task.status === "queued" ? { task, artifact: null, result: null } : { task, artifact, result };
    expect(await answer(api.get(`${TASKS}/${id}/result`), task.status === "queued" ? 202 : 200)).toEqual(outcome);
    return { task, artifact, result };
  }

  it.each([
    ["with few fields", { status: "success", output: "done", metrics: { duration_ms: 1 } }],
    ["with what was used", { status: "success", output: "done", metrics, artifact_type: "POEM", artifact_tags: ["a"] }],
    ["without an output", { status: "success", metrics }],
    ["that failed", { status: "error", error_message: "no", error_kind: "auth", partial_output: "half", metrics }],
  ])("%s, and again", async (_what, body) => {
    const { id, lease_id } = await held();
    const first = await expectEcho(id, { ...body, lease_id });
    expect(await post(`llm-tasks/${id}/complete`, { ...body, lease_id })).toEqual(first);
  });

  it("that is tried again, of a task with a schema", async () => {
    const { id, lease_id } = await held({ ...REQUEST, concurrency_key: "tried again" });
    await expectEcho(id, { status: "error", error_message: "no", metrics, lease_id });
    const { id: typed, lease_id: fence } = await held({
      ...REQUEST,
      concurrency_key: "with a schema",
      keep_transcript: false,
    });
    await expectEcho(typed, { status: "success", output: "{}", metrics, lease_id: fence });
  });

  it("of an output that was uploaded", async () => {
    const { id, lease_id } = await held();
    const upload = api.put(`${TASKS}/${id}/output`).set("X-Lease-Id", lease_id).send("uploaded");
    const { output_id } = await answer(upload, 201);
    const { artifact } = await expectEcho(id, { status: "success", output_id, metrics, lease_id });
    expect(artifact.id).toBe(output_id);
  });
});

it("a worker that is registered, registered again, drained, resumed, or rests", async () => {
  const echo = async (path: string, body: object, status?: number) =>
    expect(await post(`workers${path}`, body, status)).toEqual(await workerOf("steady"));
  await echo("", { name: "steady", capabilities: { labels: ["a"], max_concurrency: 3 }, ip_addrs: ["10.0.0.1"] }, 201);
  await echo("", { name: "steady", status: "syncing", os_info: "Linux", account: "shared" });
  await echo("/steady/drain", { reason: "repair", minutes: 5 });
  await echo("/steady/resume", {});
  await echo("/steady/rest", { reason: "full disk", seconds: 60 });
  expect(await get("workers")).toContainEqual(await workerOf("steady"));
  const account = await post("accounts/shared/resume", {});
  expect(await get("accounts")).toContainEqual(account);
  expect(await get("accounts/shared")).toEqual(account);
});

it("a configuration that is saved", async () => {
  const saved = await post("config", { membridge_server_url: "http://127.0.0.1:9", admin_key: "0123456789abcdef" });
  expect(await get("config")).toEqual(saved);
});

it("what is only listed has no column that this version does not know", async () => {
  const { id } = await held();
  for (const path of [
    "audit",
    "leases",
    "artifacts",
    "workers",
    "accounts",
    `llm-tasks/${id}/history`,
    "usage",
    "stats",
  ])
    await get(path);
});
