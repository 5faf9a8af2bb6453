import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { ARTIFACT, LEASE, RESULT, TASK, WORKER } from "../support/record-shapes.ts";

const { db, query, makeOverdue } = await createTestDatabase();
const { api } = await startApp(db);
const TASKS = "/api/runtime/llm-tasks";
const post = (path: string, body?: object) => api.post(`${TASKS}${path}`).send(body);
const NOBODY = randomUUID();

/** What was written down about `entityId`, oldest first, without ids and times. */
const auditOf = (entityId: string) =>
  query(
    "select action, entity_type, entity_id, actor, detail from audit_logs where entity_id = $1 order by timestamp, id",
    [entityId],
  );

/** The id of a task that is in `status`, which a worker holds or has held unless it is queued. */
async function aTaskIn(status: string): Promise<string> {
  if (status === "queued") return (await aTask(db)).id;
  const { task } = await aLeasedTask(db);
  await query("update llm_tasks set status = $2 where id = $1", [task.id, status]);
  return task.id;
}

/** The fields that a refused body names. */
const fieldsOf = ({ body }: { body: { error: { fieldErrors: object } } }) => Object.keys(body.error.fieldErrors);

describe("POST /api/runtime/llm-tasks", () => {
  const required = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };

  it("queues a task with the defaults, and audits it", async () => {
    const { status, body } = await post("", { ...required, unknown: "ignored" });
    expect([status, body]).toEqual([201, TASK]);
    expect(body).toMatchObject({
      ...required,
      context_hints: [],
      policy: { timeout_sec: 120, budget: 0 },
      desired_format: "text",
      max_attempts: 3,
      status: "queued",
      attempts: 0,
      lease_id: null,
      worker_id: null,
    });
    expect(await auditOf(body.id)).toEqual([
      {
        action: "task_created",
        entity_type: "llm_task",
        entity_id: body.id,
        actor: "api",
        detail: "Task for agent writer, context garden",
      },
    ]);
  });

  it("keeps what it is given", async () => {
    const given = {
      ...required,
      prompt: "Grüße 🌱\n",
      context_hints: ["a", "b"],
      policy: { timeout_sec: 3600, budget: 1.5 },
      desired_format: "json",
      max_attempts: 10,
    };
    expect((await post("", given)).body).toMatchObject(given);
    const partial = await post("", { ...required, policy: { budget: 2 } });
    expect(partial.body.policy).toEqual({ timeout_sec: 120, budget: 2 });
  });

  it.each<[string, unknown]>([
    ["context_id", ""],
    ["agent_slug", undefined],
    ["prompt", ""],
    ["prompt", 5],
    ["prompt", "a\0b"],
    ["prompt", "\ud83d"],
    ["context_hints", ["ok", 1]],
    ["context_hints", Array(1_001).fill("x")],
    ["policy", { timeout_sec: 0 }],
    ["policy", { timeout_sec: 3_601 }],
    ["policy", { budget: -1 }],
    ["desired_format", "xml"],
    ["max_attempts", 0],
    ["max_attempts", 11],
    ["max_attempts", "3"],
  ])("refuses %s: %j, naming the field, and makes nothing", async (field, value) => {
    const count = () => query("select count(*) from llm_tasks");
    const before = await count();
    const refused = await post("", { ...required, [field]: value });
    expect([refused.status, refused.body]).toEqual([
      400,
      { error: { formErrors: [], fieldErrors: { [field]: [expect.any(String)] } } },
    ]);
    expect(await count()).toEqual(before);
  });

  it("takes what clients of the owners' protocol send, and names what it does not know", async () => {
    const given = {
      context_id: "c",
      agent_slug: "protocol-v1",
      prompt: "p",
      desired_format: "markdown",
      agent_kind: "coder",
      structured_input: { deep: [1, { ключ: null }] },
      attachments: [{ type: "inline", mime_type: "text/plain", content: "x", filename: "a.txt" }],
      tracing: { trace_id: "t", metadata: { a: 1 } },
    };
    const policy = { budget: { max_tokens: 5 }, preferred_labels: ["fast"], allow_fallback: false };
    const { body, headers } = await api.post(TASKS).send({
      ...given,
      requires: ["gpu"],
      policy: {
        ...policy,
        required_labels: ["arm64", "gpu"],
        retry: { max_attempts: 5, backoff: "linear", base_delay_sec: 2, jitter: 1 },
      },
      urgency: 5,
      tracing: { ...given.tracing, sampled: true },
      "é\n": 1,
    });
    expect(body).toEqual({ ...TASK, policy: expect.any(Object) });
    expect(body).toMatchObject({
      ...given,
      requires: ["gpu", "arm64"],
      max_attempts: 5,
      retry: { backoff: "linear", base_delay_sec: 2, max_delay_sec: 300 },
    });
    expect(body.policy).toEqual({ timeout_sec: 120, ...policy });
    expect(headers["x-ignored-fields"]?.split(", ").sort()).toEqual([
      "%C3%A9%0A",
      "policy.retry.jitter",
      "tracing.sampled",
      "urgency",
    ]);
    await aWorker(db, { name: "gpu", capabilities: { labels: ["gpu", "arm64"] } });
    const { tasks } = (await api.post(`${TASKS}/claim`).send({ worker_id: "gpu", agent_slugs: ["protocol-v1"] })).body;
    expect(tasks[0].task).toMatchObject(given);
    const done = { status: "success", output: "# o", metrics: { duration_ms: 1 } };
    const { artifact } = (await api.post(`${TASKS}/${body.id}/complete`).send(done).expect(200)).body;
    expect(artifact.content_type).toBe("text/markdown; charset=utf-8");
  });

  it("is created again from an old one by a replay, with changes, whatever became of the old one", async () => {
    const { body: old } = await api
      .post(TASKS)
      .set("Idempotency-Key", "the old one")
      .send({ ...required, requires: ["gpu"], retry: { max_attempts: 5, base_delay_sec: 2 }, priority: 3 })
      .expect(201);
    await api.post(`${TASKS}/${old.id}/cancel`).send({}).expect(200);
    const replay = (body: object, key = "") => {
      const call = api.post(`${TASKS}/${old.id}/replay`);
      return (key ? call.set("Idempotency-Key", key) : call).send(body);
    };
    const { body: same } = await replay({}).expect(201);
    const { id, created_at, updated_at } = same;
    expect(same).toEqual({ ...old, id, created_at, updated_at, idempotency_key: null, size_bytes: expect.any(Number) });
    expect(id).not.toBe(old.id);
    const audited = await query("select detail from audit_logs where action = 'task_created' and entity_id = $1", [id]);
    expect(audited).toEqual([{ detail: expect.stringContaining(`again as task ${old.id}`) }]);

    const changes = { prompt: "Another.", requires: [], retry: null, urgency: 1 };
    const { body: changed, headers } = await replay({ changes }).expect(201);
    expect(changed).toMatchObject({ prompt: "Another.", requires: [], retry: null, max_attempts: 5, priority: 3 });
    expect(headers["x-ignored-fields"]).toBe("urgency");
    const emptied = { max_attempts: null, priority: null, desired_format: null };
    const { body: without } = await replay({ changes: emptied }).expect(201);
    expect(without).toMatchObject({ max_attempts: 3, priority: 0, desired_format: "text", requires: ["gpu"] });
    const { headers: beside } = await replay({ prompt: "Not in changes.", changes: { urgency: 1 } }).expect(201);
    expect(beside["x-ignored-fields"]).toBe("prompt, urgency");
    const { body: keyed } = await replay({}, "the new one").expect(201);
    expect((await replay({}, "the new one").expect(200)).body.id).toBe(keyed.id);
    await replay({ changes: { idempotency_key: "the old one", prompt: "Another." } }).expect(409);
    const { body: refused } = await replay({ changes: { prompt: "" } }).expect(400);
    expect(Object.keys(refused.error.fieldErrors)).toEqual(["prompt"]);
    await replay({ changes: "all" }).expect(400);
    await api.post(`${TASKS}/00000000-0000-4000-8000-000000000000/replay`).send({}).expect(404);
  });

  it("has no X-Ignored-Fields where all is known, and one of bounded length", async () => {
    const given = { context_id: "c", agent_slug: "a", prompt: "p" };
    expect((await api.post(TASKS).send(given)).headers).not.toHaveProperty("x-ignored-fields");
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`field ${n}`, 1]));
    const { status, headers } = await api.post(TASKS).send({ ...given, ...many });
    expect([status, headers["x-ignored-fields"]?.endsWith(", ...")]).toEqual([201, true]);
    expect(headers["x-ignored-fields"]?.length).toBeLessThan(1_010);
  });

  it("takes an idempotency key in the body as in the header, and not two", async () => {
    const given = { context_id: "c", agent_slug: "a", prompt: "p", idempotency_key: "in the body" };
    const first = await api.post(TASKS).send(given).expect(201);
    expect(first.body.idempotency_key).toBe("in the body");
    const again = await api.post(TASKS).set("Idempotency-Key", "in the body").send(given).expect(200);
    expect(again.body.id).toBe(first.body.id);
    const { idempotency_key: _key, ...plain } = given;
    await api.post(TASKS).set("Idempotency-Key", "in the body").send(plain).expect(200);
    const { body } = await api.post(TASKS).set("Idempotency-Key", "another").send(given).expect(400);
    expect(body.error).toContain("two keys");
    for (const idempotency_key of ["", "é", 5])
      await api
        .post(TASKS)
        .send({ ...given, idempotency_key })
        .expect(400);
  });

  it.each<[string, unknown]>([
    ["structured_input", { a: "\0" }],
    ["structured_input", "x".repeat(1_000_000)],
    ["attachments", [{ type: "inline", mime_type: "text/plain" }]],
    ["attachments", [{ type: "presigned_url", mime_type: "text/plain", url: "ftp://x" }]],
    ["attachments", Array(21).fill({ type: "inline", mime_type: "text/plain", content: "x" })],
    ["tracing", { parent_span_id: "x" }],
    ["agent_kind", "x".repeat(129)],
    ["policy", { budget: { note: "x".repeat(10_000) } }],
    ["policy", { retry: { backoff: "random" } }],
  ])("refuses %s out of its bounds", async (field, value) => {
    const given = { context_id: "c", agent_slug: "a", prompt: "p", [field]: value };
    const { body } = await api.post(TASKS).send(given).expect(400);
    expect(Object.keys(body.error.fieldErrors)).toEqual([field]);
  });

  it("names all refused fields together, each with a sentence for a person", async () => {
    const refused = await post("", {
      context_id: "",
      prompt: ["p"],
      context_hints: null,
      max_attempts: 1.5,
      not_before: "tomorrow",
      policy: { timeout_sec: 0, budget: "ten" },
      desired_format: "html",
      requires: Array(101).fill("x"),
      agent_kind: "x".repeat(129),
      retry: { max_attempts: 11 },
    });
    expect([refused.status, refused.body]).toEqual([
      400,
      {
        error: {
          formErrors: [],
          fieldErrors: {
            context_id: ["must not be empty"],
            agent_slug: ["is missing"],
            prompt: ["must be a string, not a list"],
            context_hints: ["must be a list, not null"],
            max_attempts: ["must be a whole number"],
            not_before: ["must be a number, not a string"],
            policy: [
              "timeout_sec: must be 1 or more",
              "budget: must be a number of 0 or more, or an object of 10000 bytes at most",
            ],
            desired_format: ["must be one of json, text, markdown"],
            requires: ["must have 100 entries at most"],
            agent_kind: ["must have 128 characters at most"],
            retry: ["max_attempts: must be 10 or less"],
          },
        },
      },
    ]);
  });

  it("refuses a body that is no object, in the form's errors", async () => {
    const { status, body } = await post("", [required]);
    expect([status, body]).toEqual([400, { error: { formErrors: [expect.any(String)], fieldErrors: {} } }]);
  });

  it("under one Idempotency-Key makes one task: 201, then 200, and 409 for another request", async () => {
    const create = (body: object) => post("", body).set("Idempotency-Key", "order 66");
    const first = await create(required);
    const again = await create(required);
    expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
    const other = await create({ ...required, prompt: "Another." });
    expect([other.status, other.body]).toEqual([409, { error: expect.stringContaining("Idempotency-Key") }]);
    const wrong = await post("", required).set("Idempotency-Key", "k".repeat(256));
    expect([wrong.status, wrong.body]).toEqual([400, { error: expect.stringContaining("Idempotency-Key") }]);
  });
});

describe("GET /api/runtime/llm-tasks", () => {
  it("lists tasks newest first, all or in one status", async () => {
    const [one, two] = [await aTask(db), await aTask(db)];
    const { task: leased } = await aLeasedTask(db);
    const all = (await api.get(TASKS)).body;
    expect(all).toEqual(all.map(() => TASK));
    expect(all.slice(0, 3).map(({ id }: { id: string }) => id)).toEqual([leased.id, two.id, one.id]);
    const queued = (await api.get(`${TASKS}?status=queued`)).body;
    expect(queued.map(({ status }: { status: string }) => status)).toEqual(queued.map(() => "queued"));
    expect(queued[0].id).toBe(two.id);
    expect((await api.get(`${TASKS}?status=`)).body).toEqual(all);
  });

  it("refuses a status that there is not, and names those that there are", async () => {
    const { status, body } = await api.get(`${TASKS}?status=done`);
    expect(status).toBe(400);
    for (const known of ["queued", "leased", "running", "completed", "failed", "dead", "cancelled"])
      expect(body.error).toContain(known);
  });

  it("answers one task, or 404, also for an id that is no UUID", async () => {
    const task = await aTask(db);
    const found = await api.get(`${TASKS}/${task.id}`);
    expect([found.status, found.body]).toEqual([200, task]);
    for (const id of [NOBODY, "no-uuid", "%00"]) {
      const { status, body } = await api.get(`${TASKS}/${id}`);
      expect([status, body]).toEqual([404, { error: "Task not found" }]);
    }
  });
});

describe("POST /api/runtime/llm-tasks/:id/lease", () => {
  it("gives the lease and the worker as it was before, and audits it", async () => {
    const task = await aTask(db, { context_id: "garden" });
    const worker = await aWorker(db, { capabilities: { max_concurrency: 2 } });
    const { status, body } = await post(`/${task.id}/lease`, { worker_id: worker.id });
    expect([status, body]).toEqual([201, { lease: LEASE, worker: WORKER }]);
    const { lease } = body;
    expect(lease).toMatchObject({ task_id: task.id, worker_id: worker.id, ttl_seconds: 300, status: "active" });
    expect(lease).toMatchObject({ context_id: "garden", expires_at: lease.started_at + 300_000 });
    expect(body.worker).toMatchObject({ id: worker.id, active_leases: 0 });
    expect((await api.get(`${TASKS}/${task.id}`)).body).toMatchObject({
      status: "leased",
      attempts: 1,
      lease_id: lease.id,
      worker_id: worker.id,
    });
    expect(await auditOf(lease.id)).toEqual([
      {
        action: "task_leased",
        entity_type: "lease",
        entity_id: lease.id,
        actor: "router",
        detail: `Task ${task.id} leased to worker ${worker.id}, TTL 300s`,
      },
    ]);
  });

  it("finds a worker with room when none is named, and answers 503 when all are full", async () => {
    await query("update workers set status = 'offline'");
    const worker = await aWorker(db, { capabilities: { max_concurrency: 1 } });
    const { status, body } = await api.post(`${TASKS}/${await aTaskIn("queued")}/lease`);
    expect([status, body.worker.id, body.lease.worker_id]).toEqual([201, worker.id, worker.id]);
    const waiting = await aTaskIn("queued");
    const full = await post(`/${waiting}/lease`, { worker_id: null });
    expect([full.status, full.body]).toEqual([503, { error: "No available worker with free capacity" }]);
    expect((await api.get(`${TASKS}/${waiting}`)).body).toMatchObject({ status: "queued", attempts: 0 });
  });

  it.each(["leased", "running", "completed", "failed", "dead"])("answers 409 for a task that is %s", async (was) => {
    const { status, body } = await post(`/${await aTaskIn(was)}/lease`);
    expect([status, body]).toEqual([409, { error: `Task status is '${was}', expected 'queued'` }]);
  });

  it("takes a TTL, and null as none", async () => {
    const { id } = await aWorker(db, { capabilities: { max_concurrency: 3 } });
    const lease = async (body: object) =>
      (await post(`/${(await aTask(db)).id}/lease`, { worker_id: id, ...body })).body.lease.ttl_seconds;
    expect(await lease({ ttl_seconds: 86_400 })).toBe(86_400);
    expect(await lease({ ttl_seconds: null })).toBe(300);
    for (const ttl_seconds of [0, -1, 1.5, 86_401, "60"]) {
      const refused = await post(`/${(await aTask(db)).id}/lease`, { worker_id: id, ttl_seconds });
      expect([refused.status, fieldsOf(refused)]).toEqual([400, ["ttl_seconds"]]);
    }
  });

  it("answers 404 without the task, and 503 without a worker", async () => {
    const missing = await post(`/${NOBODY}/lease`);
    expect([missing.status, missing.body]).toEqual([404, { error: "Task not found" }]);
    await query("update workers set status = 'offline'");
    const queued = await aTask(db);
    for (const body of [{}, { worker_id: "nobody" }]) {
      const nobody = await post(`/${queued.id}/lease`, body);
      expect([nobody.status, nobody.body]).toEqual([503, { error: "No available worker with free capacity" }]);
    }
  });
});

describe("POST /api/runtime/llm-tasks/:id/heartbeat", () => {
  it("renews the lease, with and without a body, and is not audited", async () => {
    const { task } = await aLeasedTask(db);
    await makeOverdue(task.id);
    const entries = () => query("select count(*) from audit_logs");
    const before = await entries();
    const { status, body } = await api.post(`${TASKS}/${task.id}/heartbeat`);
    expect([status, body]).toEqual([
      200,
      { lease: LEASE, expires_at: body.lease.expires_at, cancel: false, drain: false, next_heartbeat_ms: 10_000 },
    ]);
    expect(body.expires_at).toBe(body.lease.last_heartbeat + 300_000);
    expect((await post(`/${task.id}/heartbeat`, {})).status).toBe(200);
    expect((await api.get(`${TASKS}/${task.id}`)).body.status).toBe("running");
    expect(await entries()).toEqual(before);
  });

  it("answers 404 without a task or lease, and when the lease has ended", async () => {
    for (const id of [NOBODY, "no-uuid", (await aTask(db)).id]) {
      const { status, body } = await post(`/${id}/heartbeat`);
      expect([status, body]).toEqual([404, { error: "Task or lease not found" }]);
    }
    const { task } = await aLeasedTask(db);
    await post(`/${task.id}/complete`, { status: "success", metrics: { duration_ms: 1 } });
    const late = await post(`/${task.id}/heartbeat`);
    expect([late.status, late.body]).toEqual([404, { error: "Lease not found or already expired" }]);
  });
});

describe("POST /api/runtime/llm-tasks/:id/complete", () => {
  const success = { status: "success", output: "the output", metrics: { duration_ms: 1200 } };

  it("answers task, artifact and result, and audits it", async () => {
    const { task, lease, worker } = await aLeasedTask(db);
    const { status, body } = await post(`/${task.id}/complete`, {
      ...success,
      metrics: { duration_ms: 1200, tokens_used: 7 },
      artifact_type: "HAIKU",
      artifact_tags: ["poem"],
    });
    expect([status, body]).toEqual([200, { task: TASK, artifact: ARTIFACT, result: RESULT }]);
    expect(body.task).toMatchObject({ id: task.id, status: "completed", lease_id: lease.id, worker_id: worker.id });
    expect(body.artifact).toMatchObject({ task_id: task.id, type: "HAIKU", tags: ["poem"], entity_refs: [] });
    expect(body.artifact).toMatchObject({ job_id: null, content: "the output", url: null });
    expect(body.result).toMatchObject({ task_id: task.id, worker_id: worker.id, artifact_id: body.artifact.id });
    expect(body.result).toMatchObject({ status: "success", output: "the output", error_message: null });
    expect(body.result.metrics).toEqual({ duration_ms: 1200, tokens_used: 7 });
    expect(await auditOf(task.id)).toEqual([
      expect.objectContaining({ action: "task_created" }),
      {
        action: "task_completed",
        entity_type: "llm_task",
        entity_id: task.id,
        actor: worker.id,
        detail: `Status: success, artifact: ${body.artifact.id}, duration: 1200ms`,
      },
    ]);
    const leases = (await api.get("/api/runtime/leases?status=released")).body;
    expect(leases[0].id).toBe(lease.id);
  });

  it("takes the agents' `tokens_used: null` as absent, and an error without output", async () => {
    const { task } = await aLeasedTask(db);
    const { status, body } = await post(`/${task.id}/complete`, {
      status: "error",
      output: null,
      error_message: "the CLI failed",
      metrics: { duration_ms: 0, tokens_used: null },
    });
    expect([status, body.task.status]).toEqual([200, "failed"]);
    expect(body.result).toMatchObject({ status: "error", output: null, error_message: "the CLI failed" });
    expect(body.result.metrics).toEqual({ duration_ms: 0 });
    expect(body.artifact).toMatchObject({ type: "LLM_RESULT", tags: [], content: null });
    const detail = `Status: error, artifact: ${body.artifact.id}, duration: 0ms, the CLI failed`;
    expect((await auditOf(task.id)).at(-1)).toMatchObject({ action: "task_completed", detail });
  });

  it.each(["queued", "completed", "failed", "dead"])("answers 409 for a task that is %s, before 400", async (was) => {
    const id = await aTaskIn(was);
    for (const body of [success, { nonsense: true }]) {
      const refused = await post(`/${id}/complete`, body);
      const error = `Task status is '${was}', expected 'leased' or 'running'`;
      expect([refused.status, refused.body]).toEqual([409, { error }]);
    }
    expect((await api.get(`/api/runtime/artifacts?task_id=${id}`)).body).toEqual([]);
  });

  it("answers 404 without the task, before 400, and 400 for the body of one that is held", async () => {
    for (const id of [NOBODY, "no-uuid"]) {
      const missing = await post(`/${id}/complete`, { nonsense: true });
      expect([missing.status, missing.body]).toEqual([404, { error: "Task not found" }]);
    }
    const { task } = await aLeasedTask(db);
    const refused = await post(`/${task.id}/complete`, { nonsense: true });
    expect([refused.status, fieldsOf(refused).sort()]).toEqual([400, ["metrics", "status"]]);
    expect((await api.get(`${TASKS}/${task.id}`)).body.status).toBe("leased");
  });

  it.each<[string, unknown]>([
    ["status", "done"],
    ["output", 5],
    ["output", "\0"],
    ["error_message", 5],
    ["metrics", { duration_ms: -1 }],
    ["metrics", { duration_ms: 1.5 }],
    ["metrics", { duration_ms: 1, tokens_used: -1 }],
    ["artifact_type", ""],
    ["artifact_tags", "poem"],
    ["lease_id", 5],
  ])("refuses %s: %j, and the task stays held", async (field, value) => {
    const { task } = await aLeasedTask(db);
    const refused = await post(`/${task.id}/complete`, { ...success, [field]: value });
    expect([refused.status, fieldsOf(refused)]).toEqual([400, [field]]);
    expect((await api.get(`${TASKS}/${task.id}`)).body.status).toBe("leased");
  });
});

describe("a lease's fence", () => {
  it.each(["header", "body"])("in the %s lets its holder through, and another's not", async (where) => {
    const { task, lease } = await aLeasedTask(db);
    const call = (verb: string, id: string, body: object = {}) =>
      where === "header"
        ? post(`/${task.id}/${verb}`, body).set("X-Lease-Id", id)
        : post(`/${task.id}/${verb}`, { ...body, lease_id: id });
    const success = { status: "success", metrics: { duration_ms: 1 } };
    for (const verb of ["heartbeat", "release", "complete"]) {
      const stale = await call(verb, NOBODY, success);
      expect([stale.status, stale.body]).toEqual([409, { error: expect.stringContaining(NOBODY) }]);
    }
    const released = await call("release", lease.id);
    expect([released.status, released.body]).toEqual([200, TASK]);
    expect(released.body).toMatchObject({ status: "queued", attempts: 0 });
    const { id } = await aWorker(db);
    const { lease: next } = (await post(`/${task.id}/lease`, { worker_id: id })).body;
    expect((await call("heartbeat", next.id)).status).toBe(200);
    const first = await call("complete", next.id, success);
    const again = await call("complete", next.id, success);
    expect([first.status, again.status, again.body]).toEqual([200, 200, first.body]);
    expect((await call("complete", next.id, { ...success, output: "another" })).status).toBe(409);
  });

  it("must be one, and a release must have one", async () => {
    const { task, lease } = await aLeasedTask(db);
    const two = await post(`/${task.id}/heartbeat`, { lease_id: lease.id }).set("X-Lease-Id", NOBODY);
    expect([two.status, two.body]).toEqual([400, { error: expect.stringContaining("X-Lease-Id") }]);
    const none = await post(`/${task.id}/release`, {});
    expect([none.status, fieldsOf(none)]).toEqual([400, ["lease_id"]]);
    expect((await post(`/${NOBODY}/release`, { lease_id: lease.id })).status).toBe(404);
    const wrong = await post(`/${task.id}/heartbeat`, { lease_id: 5 });
    expect([wrong.status, fieldsOf(wrong)]).toEqual([400, ["lease_id"]]);
  });
});

describe("POST /api/runtime/llm-tasks/:id/requeue", () => {
  it.each(["failed", "dead"])("starts a %s task anew, and audits it", async (was) => {
    const id = await aTaskIn(was);
    const { status, body } = await api.post(`${TASKS}/${id}/requeue`);
    expect([status, body]).toEqual([200, TASK]);
    expect(body).toMatchObject({ status: "queued", attempts: 0, lease_id: null, worker_id: null });
    expect(await auditOf(id)).toEqual([
      expect.objectContaining({ action: "task_created" }),
      {
        action: "task_requeued",
        entity_type: "llm_task",
        entity_id: id,
        actor: "admin",
        detail: `Requeued from ${was}`,
      },
    ]);
  });

  it("answers 404 without the task", async () => {
    const { status, body } = await post(`/${NOBODY}/requeue`);
    expect([status, body]).toEqual([404, { error: "Task not found" }]);
  });

  it.each(["queued", "leased", "running", "completed"])("answers 409 for a task that is %s", async (was) => {
    const { status, body } = await post(`/${await aTaskIn(was)}/requeue`);
    expect([status, body]).toEqual([409, { error: `Cannot requeue task with status '${was}'` }]);
  });
});
