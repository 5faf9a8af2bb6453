import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { propertyRuns } from "../support/property-runs.ts";
import { startMembridge } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
const app = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: membridge.url, MAX_BODY_MB: "1" } });
const { port } = new URL(app.url);

/** Every route with the statuses that api.md gives it, and a body that it accepts. */
const TASK = "/api/runtime/llm-tasks/:id";
const PROJECT = "/api/membridge/projects/:id";
const task = {
  context_id: "c",
  agent_slug: "a",
  prompt: "p",
  context_hints: ["h"],
  policy: { timeout_sec: 5, budget: { max_tokens: 1 }, required_labels: ["l"], retry: { backoff: "linear" } },
  structured_input: { a: ["b"] },
  attachments: [{ type: "inline", mime_type: "m", content: "c" }],
  tracing: { trace_id: "t", metadata: { a: 1 } },
  agent_kind: "k",
  output_schema: { type: "object", properties: { a: { type: "string" } } },
  keep_transcript: true,
  priority: 5,
  requires: ["l"],
  prefers: ["l"],
  concurrency_key: "k",
  queue_ttl_sec: 60,
  not_before: 1,
  allow_fallback: false,
  limits: { max_usd: 1, max_tokens: 1, max_turns: 1 },
  resume: true,
  idempotency_key: "k",
};
const filter = { status: ["failed", "queued"], context_id: "none", agent_slug: ["a"], created_after: 1 };
const bulk = { filter, dry_run: true, limit: 1 };
const completion = { status: "success", output: "o", error_message: null, metrics: { duration_ms: 1, tokens_used: 2 } };
const limited = {
  status: "error",
  error_message: "e",
  error_kind: "rate_limited",
  resets_at: 1,
  retry_after_ms: 1,
  partial_output: "p",
  windows: { weekly: { used: 0.5, resets_at: 1 } },
  metrics: { ...completion.metrics, model: "m", input_tokens: 1, cost_usd: 0.5, num_turns: 1, session_id: "s" },
};
const printed = { cli: "claude", exit_code: 1, output: '{"type":"result"}', metrics: completion.metrics };
const capabilities = { max_concurrency: 2, labels: ["l"] };
const worker = { name: "w", url: "http://w:8001", capabilities, boot_id: "b", account: "shared" };
const ROUTES: [call: string, statuses: number[], body?: object][] = [
  ["GET /api/runtime/health", [200]],
  ["GET /api/runtime/config", [200]],
  ["POST /api/runtime/config", [200], { membridge_server_url: membridge.url, admin_key: ADMIN_KEY }],
  ["POST /api/runtime/test-connection", [200]],
  ["GET /api/runtime/workers", [200]],
  ["GET /api/runtime/workers/:id", [200, 404]],
  ["POST /api/runtime/workers", [200, 201], worker],
  ["DELETE /api/runtime/workers/:id", [200, 404]],
  ["POST /api/runtime/llm-tasks", [200, 201, 202, 409], task],
  ["POST /api/runtime/llm-tasks/claim", [200, 204, 404, 409], { worker_id: "w", max_tasks: 1, agent_slugs: ["a"] }],
  ["POST /api/runtime/llm-tasks", [200, 201, 202, 409], { ...task, idempotency_key: null }],
  ["POST /api/runtime/llm-tasks/bulk", [200], { tasks: [task, { ...task, prompt: "" }] }],
  ["POST /api/runtime/llm-tasks/cancel", [200], { ...bulk, reason: "r" }],
  ["POST /api/runtime/llm-tasks/requeue", [200], bulk],
  ["POST /api/runtime/llm-tasks/replay", [200], { ...bulk, changes: { priority: 1 }, idempotency_key: "k" }],
  ["GET /api/runtime/llm-tasks", [200]],
  [`GET ${TASK}`, [200, 404]],
  [`POST ${TASK}/lease`, [201, 404, 409, 503], { worker_id: "w", ttl_seconds: 60 }],
  [`POST ${TASK}/heartbeat`, [200, 404, 409], { lease_id: "l", progress: 0.5 }],
  [
    `POST ${TASK}/complete`,
    [200, 404, 409],
    { ...completion, artifact_type: "T", artifact_tags: ["t"], lease_id: "l", retryable: true },
  ],
  [
    `POST ${TASK}/complete`,
    [200, 404, 409],
    { ...completion, output: null, output_id: "01a209a4-fab4-70b3-99f9-470f2081b27e" },
  ],
  [`POST ${TASK}/complete`, [200, 404, 409], limited],
  [`POST ${TASK}/complete`, [200, 404, 409], printed],
  [`POST ${TASK}/stream`, [204, 404, 409], { lease_id: null, seq: 1, text: "t" }],
  [`GET ${TASK}/stream`, [200, 404]],
  [`POST ${TASK}/replay`, [200, 201, 202, 404, 409], { changes: { priority: 1, not_before: null } }],
  [`GET ${TASK}/result`, [200, 202, 404]],
  [`GET ${TASK}/input/context_hints`, [200, 404]],
  [`PUT ${TASK}/output`, [201, 404, 409], {}],
  [`POST ${TASK}/release`, [200, 404, 409], { lease_id: "l", reason: "r" }],
  [`POST ${TASK}/requeue`, [200, 404, 409]],
  [`POST ${TASK}/cancel`, [200, 404, 409], { reason: "r" }],
  [`GET ${TASK}/explain`, [200, 404]],
  [`GET ${TASK}/results`, [200, 404]],
  [`GET ${TASK}/history`, [200, 404]],
  ["POST /api/runtime/workers/:id/drain", [200, 404], { reason: "r", minutes: 1 }],
  ["POST /api/runtime/workers/:id/rest", [200, 404], { reason: "r", seconds: 1 }],
  ["POST /api/runtime/workers/:id/resume", [200, 404]],
  ["GET /api/runtime/accounts", [200]],
  ["GET /api/runtime/accounts/:id", [200, 404]],
  ["POST /api/runtime/accounts/:id/resume", [200, 404]],
  ["GET /api/runtime/usage", [200]],
  ["GET /api/runtime/leases", [200]],
  ["GET /api/runtime/runs", [200]],
  ["GET /api/runtime/artifacts", [200]],
  ["GET /api/runtime/artifacts/:id", [200, 404]],
  ["GET /api/runtime/artifacts/:id/content", [200, 404]],
  ["GET /api/runtime/artifacts/:id/url", [404, 409]],
  ["GET /api/runtime/audit", [200]],
  ["GET /api/runtime/stats", [200]],
  ["GET /api/membridge/health", [200]],
  ["GET /api/membridge/projects", [200]],
  [`GET ${PROJECT}/leadership`, [200, 404]],
  [`GET ${PROJECT}/nodes`, [200, 404]],
  [`POST ${PROJECT}/leadership/select`, [200, 404, 422], { primary_node_id: "rpi", lease_seconds: 60 }],
];
/** What any call may be told: the request is malformed, its path is nobody's, it is too large, of a wrong type, or expects what nobody gives. */
const ANY = [400, 404, 413, 415, 417, 431];

const NUL = "\0";
const LONE_SURROGATE = "\ud83d";
const hostileText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", " ", NUL, `a${NUL}b`, LONE_SURROGATE, "🌱", "__proto__", "constructor", "toString", "null", "1"),
  fc.constantFrom("../..", "%2e%2e", "%00", "'; drop table llm_tasks; --", "x".repeat(2_000), "x".repeat(300_000)),
);
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom(null, true, 0, -1, 1.5, -0, 1e21, 1e308, 2 ** 31, 2 ** 53, 86_401, Number.MIN_VALUE),
  fc.constantFrom<unknown>([], {}, [null], [[]], Array(100_000).fill("t"), { __proto__: null, length: 1 }),
  fc.jsonValue({ stringUnit: "binary" }),
);

/** The sample with one of its fields, or one of theirs, replaced, dropped or added. */
const tampered = (sample: object) =>
  fc
    .record({
      field: fc.constantFrom(...Object.keys(sample), "__proto__", "id"),
      inner: hostileText,
      value: hostile,
      deep: fc.boolean(),
    })
    .map(({ field, inner, value, deep }) => {
      const now = Object.entries(sample).find(([name]) => name === field)?.[1];
      const within = deep && typeof now === "object" && now !== null;
      const key = within ? (Object.keys(now)[inner.length % (Object.keys(now).length || 1)] ?? inner) : "";
      return JSON.stringify({ ...sample, [field]: within ? { ...now, [key]: value } : value });
    });
const deepJson = fc.constantFrom(
  "[".repeat(10_000) + "]".repeat(10_000),
  `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
);
const rawBody = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  hostile.map((value) => Buffer.from(JSON.stringify(value) ?? "")),
  fc.constant(Buffer.from(`{"prompt": "${"x".repeat(1_100_000)}"}`)),
  fc.constant(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
  deepJson.map((text) => Buffer.from(text)),
);
const bodyFor = (sample: object) =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.oneof(tampered(sample), fc.constant(JSON.stringify(sample))).map((text) => Buffer.from(text)),
    },
    { weight: 1, arbitrary: rawBody },
  );

const pathText = fc.oneof(
  hostileText.map((text) => encodeURIComponent(text.toWellFormed())),
  fc.constantFrom("%", "%zz", "%2f", "..%2f..", "%c0%ae", "a/b", ".", "%2e%2e", "%00"),
);
const queryText = fc.oneof(
  fc.constantFrom(
    "",
    "status=",
    "status=queued",
    "status=nonsense",
    "status[]=a",
    "status=a&status=b",
    "limit=0",
    "limit=1e3",
  ),
  fc.constantFrom("limit=-1", "limit=99999999999999999999", "task_id=x", "task_id=%00", "__proto__[x]=1", "limit=%zz"),
  fc.constantFrom(
    "wait_seconds=0.01",
    "wait_seconds=-1",
    "after=1",
    "after=x",
    "by=account",
    "by=model&until=1",
    "by=x",
  ),
  fc.tuple(fc.constantFrom("status", "limit", "task_id"), pathText).map(([name, value]) => `${name}=${value}`),
);
const headers = fc.oneof(
  fc.constant({}),
  fc.constantFrom<Record<string, string>>(
    { "content-type": "text/plain" },
    { "content-type": "application/json; charset=latin1" },
  ),
  fc.constantFrom<Record<string, string>>(
    { "content-encoding": "gzip" },
    { "content-encoding": "nonsense" },
    { "x-lease-id": "l" },
  ),
  fc.constantFrom<Record<string, string>>(
    { prefer: "wait=x, wait" },
    { prefer: "wait=1" },
    { "idempotency-key": "k" },
    { "idempotency-key": "é" },
    { "idempotency-key": "k".repeat(256) },
  ),
  fc.constantFrom<Record<string, string>>(
    { "x-flood": "x".repeat(20_000) },
    { expect: "200-ok" },
    { "x-forwarded-proto": "http" },
  ),
);

interface Reply {
  status: number;
  body: string;
}

function send(method: string, path: string, extra: Record<string, string>, body?: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const content = body && { "content-type": "application/json", "content-length": body.length };
    const call = httpRequest(
      { host: "127.0.0.1", port, method, path, headers: { ...content, ...extra } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on("error", reject);
      },
    );
    // A refusal that comes before all of the body was sent may also break the sending; the answer is there all the same.
    call.on("error", (error) =>
      call.reusedSocket || !("code" in error) ? reject(error) : resolve({ status: 413, body: '{"error":"cut"}' }),
    );
    call.end(body);
  });
}

/** The two forms of an error: a sentence, or zod's flattened form. */
function isRefusal(json: unknown): boolean {
  const error = (json as { error?: unknown }).error;
  if (typeof error === "string") return error.length > 0;
  const { formErrors, fieldErrors } = (error ?? {}) as { formErrors?: unknown; fieldErrors?: unknown };
  return Array.isArray(formErrors) && typeof fieldErrors === "object";
}

it.each(ROUTES)(
  "%s answers noise with what is documented",
  async (call, statuses, sample = {}) => {
    const [method = "", path = ""] = call.split(" ");
    // Noise may be a configuration that is saved, and Membridge answers 401 from then on.
    await query("truncate runtime_settings");
    const held = await aLeasedTask(db);
    const ids = [held.task.id, (await aTask(db)).id, (await aWorker(db)).id, "aeeafec3a5b5710f"];
    const noise = fc.record({
      id: fc.oneof(fc.constantFrom(...ids), pathText),
      query: queryText,
      headers,
      body: fc.option(bodyFor(sample), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(noise, async ({ id, query, headers, body }) => {
        const reply = await send(method, path.replace(":id", id) + (query && `?${query}`), headers, body);
        expect([...statuses, ...ANY]).toContain(reply.status);
        // A task's own input is answered as it is.
        const isInput = path.includes("/input/") && reply.status === 200;
        const json: unknown = reply.status === 204 || isInput ? {} : JSON.parse(reply.body);
        if (reply.status >= 400) expect(isRefusal(json), reply.body).toBe(true);
      }),
      { numRuns: propertyRuns(50) },
    );
    expect(app.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    expect(await query("select count(*)::int as n from llm_tasks")).toHaveLength(1);
  },
  60_000,
);
