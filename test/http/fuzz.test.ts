import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS } from "../support/every-call.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { fuzzedCalls, NOT_FUZZED } from "../support/fuzzed-calls.ts";
import { propertyRuns } from "../support/property-runs.ts";
import { startMembridge } from "../support/scripted-membridge.ts";

const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
const app = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: membridge.url, MAX_BODY_MB: "1" } });
const { port } = new URL(app.url);

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

const calls = fuzzedCalls(membridge.url);

it("every call is fuzzed, or named with the reason why it is not", () => {
  const fuzzed = calls.map(([call]) => call.replace(/^\w+/, (method) => method.toLowerCase()).replace(":id", "x"));
  const every = CALLS.map(([method, path]) => `${method} ${path}`);
  expect([...new Set([...fuzzed, ...Object.keys(NOT_FUZZED)])].toSorted()).toEqual(every.toSorted());
});

it.each(calls)(
  "%s answers noise with what is documented",
  async (call, statuses, sample = {}) => {
    const [method = "", path = ""] = call.split(" ");
    // Noise may be a configuration that is saved, and Membridge answers 401 from then on.
    await query("truncate runtime_settings, runtime_webhooks cascade");
    const held = await aLeasedTask(db);
    const webhook = { url: "https://h.example/", events: ["task.*"] };
    const { id: webhookId } = (await app.api.post("/api/runtime/webhooks").send(webhook).expect(201)).body;
    const ids = [held.task.id, (await aTask(db)).id, (await aWorker(db)).id, webhookId, "k", "aeeafec3a5b5710f"];
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
