import { randomUUID } from "node:crypto";
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { openDatabase } from "../../src/db/client.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { openExporter } from "../../src/tracing/exporter.ts";
import { parseTraceparent } from "../../src/tracing/trace-context.ts";
import { startApp } from "../support/app.ts";
import { type ReceivedSpan, resourceOf, startCollector } from "../support/collector.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startScriptedAgent } from "../support/scripted-agent.ts";

const { db: untraced, url, makeOverdue } = await createTestDatabase();
const silent = pino({ level: "silent" });
const collector = await startCollector();
const exporter = exporterTo(collector.url);
const { db, close } = openDatabase({ url, poolMax: 5, tracer: exporter.tracer }, silent);
afterAll(close);
const { api } = await startApp(db);
const { api: without } = await startApp(untraced);

function exporterTo(address: string, log = silent, sampledShare = 1) {
  const headers = { "api-key": "a key" };
  return openExporter({ url: `${address}/v1/traces`, headers, serviceName: "garden", sampledShare }, log);
}

const TASKS = "/api/runtime/llm-tasks";
const TASK = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const GIVEN = `00-${TRACE}-${CALLER}-01`;

/** A trace of its own for each test. */
const newTrace = () => randomUUID().replaceAll("-", "");
async function aWorker(fields = {}) {
  const name = `worker-${randomUUID()}`;
  await api.post("/api/runtime/workers").send({ name, ...fields });
  return name;
}
/** The spans of the trace that the collector has, by name. They are recorded when an answer is closed, which its client may hear of before. */
async function spansOf(traceId: string, names: string[]): Promise<Record<string, ReceivedSpan>> {
  return await eventually(async () => {
    await exporter.sendOnce();
    const spans = collector.spans().filter((span) => span.traceId === traceId);
    expect(spans.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    return Object.fromEntries(spans.map((span) => [span.name, span]));
  });
}

describe("traceparent", () => {
  it.each([
    [GIVEN, true],
    [GIVEN.replace(/1$/, "0"), true],
    [GIVEN.replace(/01$/, "ff"), true],
    [`cc${GIVEN.slice(2)}`, true],
    [`cc${GIVEN.slice(2)}-what-comes-later`, true],
    [`cc${GIVEN.slice(2)}.`, false],
    [`${GIVEN}-`, false],
    [`ff${GIVEN.slice(2)}`, false],
    [GIVEN.toUpperCase(), false],
    [` ${GIVEN}`, false],
    [GIVEN.replace(TRACE, "0".repeat(32)), false],
    [GIVEN.replace(CALLER, "0".repeat(16)), false],
    [GIVEN.slice(0, -3), false],
    [`${GIVEN}, ${GIVEN}`, false],
    ["", false],
    [undefined, false],
  ])("is read as the W3C has it: %s", (header, isRead) => {
    expect(parseTraceparent(header)?.traceId).toBe(isRead ? TRACE : undefined);
  });

  it("of a creation is kept with the task and handed on as it came, where nothing is traced", async () => {
    const agent_slug = randomUUID();
    const worker = await aWorker();
    const created = await without
      .post(TASKS)
      .set("traceparent", GIVEN)
      .send({ ...TASK, agent_slug });
    expect(created.body).toMatchObject({ traceparent: GIVEN, tracing: null });
    expect((await without.get(`${TASKS}/${created.body.id}`)).body.traceparent).toBe(GIVEN);
    const claimed = await without.post(`${TASKS}/claim`).send({ worker_id: worker, agent_slugs: [agent_slug] });
    expect(claimed.body.tasks[0]).toMatchObject({ traceparent: GIVEN, task: { traceparent: GIVEN } });
  });

  it("that is malformed is ignored, and so is none", async () => {
    for (const header of [GIVEN.slice(1), "nonsense", undefined]) {
      const asking = without.post(TASKS).send(TASK);
      const { status, body } = await (header ? asking.set("traceparent", header) : asking);
      expect([status, body.traceparent]).toEqual([201, null]);
    }
  });

  it("is no part of the request: sent again within another trace, the same creation gives the same task", async () => {
    const key = randomUUID();
    const create = (traceId: string) =>
      without.post(TASKS).set("Idempotency-Key", key).set("traceparent", GIVEN.replace(TRACE, traceId)).send(TASK);
    const first = await create(TRACE);
    const again = await create(newTrace());
    expect([again.status, again.body]).toEqual([200, first.body]);
  });

  it("comes from the field `tracing` where that has the ids of the W3C", async () => {
    const create = async (tracing: object) => (await without.post(TASKS).send({ ...TASK, tracing })).body.traceparent;
    expect(await create({ trace_id: TRACE, parent_span_id: CALLER })).toBe(GIVEN);
    expect(await create({ trace_id: "the trace", parent_span_id: "a span" })).toBe(null);
  });
});

describe("a service with a collector", () => {
  it("sends a task's trace: its creation, its work from lease to end, and its completion", async () => {
    const traceId = newTrace();
    const agent_slug = randomUUID();
    const worker = await aWorker();
    const creating = api.post(TASKS).set("traceparent", `00-${traceId}-${CALLER}-01`);
    const { id } = (await creating.send({ ...TASK, agent_slug })).body;
    const asText = await api
      .post(`${TASKS}/claim`)
      .set("Accept", "text/plain")
      .send({ worker_id: worker, agent_slugs: [agent_slug] });
    const run = parseTraceparent(asText.get("X-Bloom-Traceparent"));
    const lease = asText.get("X-Bloom-Lease-Id");
    await api.post(`${TASKS}/${id}/complete`).send({ lease_id: lease, status: "success", metrics: { duration_ms: 5 } });
    const spans = await spansOf(traceId, ["createTask", "run task", "completeTask"]);
    expect(spans.createTask).toMatchObject({
      parentSpanId: CALLER,
      kind: 2,
      isFault: false,
      attributes: { "http.request.method": "POST", "http.response.status_code": 201, "url.path": TASKS },
    });
    expect(spans["run task"]).toMatchObject({
      spanId: run?.spanId,
      parentSpanId: spans.createTask?.spanId,
      isFault: false,
      attributes: { "bloom.task": id, "bloom.lease": lease, "bloom.worker": worker, "bloom.outcome": "completed" },
    });
    expect(spans.completeTask).toMatchObject({ parentSpanId: run?.spanId });
    const { startMs = 0, endMs = 0 } = spans["run task"] ?? {};
    expect(endMs).toBeGreaterThanOrEqual(startMs);
    const { headers, path, body } = collector.receiver.received[0] ?? { body: "{}" };
    expect([path, headers?.["api-key"]]).toEqual(["/v1/traces", "a key"]);
    expect(resourceOf(body)).toMatchObject({ "service.name": "garden", "service.version": expect.any(String) });
  });

  it("calls an agent within the trace", async () => {
    const traceId = newTrace();
    const received: unknown[] = [];
    const agent = await startScriptedAgent((request, response) => {
      received.push(request.headers.traceparent);
      response.setHeader("content-type", "application/json");
      response.end('{"ok": true, "started": true}');
    });
    onTestFinished(agent.close);
    const worker = await aWorker({ url: agent.url });
    const creating = api.post(TASKS).set("traceparent", `00-${traceId}-${CALLER}-01`);
    const { id } = (await creating.send(TASK)).body;
    const { body } = await api.post(`${TASKS}/${id}/dispatch`).send({ worker_id: worker });
    const release = { lease_id: body.lease_id, started: true, reason: "no room" };
    expect((await api.post(`${TASKS}/${id}/release`).send(release)).status).toBe(200);
    const spans = await spansOf(traceId, ["createTask", "dispatch to agent", "run task"]);
    expect(spans["dispatch to agent"]).toMatchObject({ kind: 3, parentSpanId: spans["run task"]?.spanId });
    expect(received).toEqual([`00-${traceId}-${spans["dispatch to agent"]?.spanId}-01`]);
    expect(spans["run task"]).toMatchObject({ isFault: false, attributes: { "bloom.outcome": "queued" } });
  });

  it("ends the span of a lease that is swept, on whatever instance", async () => {
    const traceId = newTrace();
    const worker = await aWorker();
    const creating = api.post(TASKS).set("traceparent", `00-${traceId}-${CALLER}-01`);
    const { id } = (await creating.send(TASK)).body;
    const leased = await without.post(`${TASKS}/${id}/lease`).send({ worker_id: worker });
    await makeOverdue(id);
    await sweepOnce(db);
    const spans = await spansOf(traceId, ["createTask", "run task"]);
    expect(spans["run task"]).toMatchObject({
      isFault: true,
      attributes: { "bloom.lease": leased.body.lease.id, "bloom.outcome": "queued" },
    });
  });

  it("begins a trace for a request that has none, and sends none of a trace that is not sampled", async () => {
    const unsampled = newTrace();
    const creating = api.post(TASKS).set("traceparent", `00-${unsampled}-${CALLER}-00`);
    const { body } = await creating.send(TASK);
    expect(parseTraceparent(body.traceparent)).toMatchObject({ traceId: unsampled, isSampled: false });
    const begun = parseTraceparent((await api.post(TASKS).send(TASK)).body.traceparent);
    const spans = await spansOf(begun?.traceId ?? "", ["createTask"]);
    expect(spans.createTask).toMatchObject({ spanId: begun?.spanId });
    expect(spans.createTask?.parentSpanId).toBeUndefined();
    await spansOf(unsampled, []);
    expect(exporterTo(collector.url, silent, 0).tracer.begin(undefined).isSampled).toBe(false);
  });
});

describe("what tells nothing", () => {
  it("is no span: a probe, and a claim that gets no task, but for one within a trace", async () => {
    const claim = () => api.post(`${TASKS}/claim`).send({ worker_id: worker, agent_slugs: [randomUUID()] });
    const worker = await aWorker();
    for (const path of ["/livez", "/readyz", "/metrics"]) expect((await api.get(path)).status).toBe(200);
    expect((await claim()).status).toBe(204);
    const traceId = newTrace();
    expect((await claim().set("traceparent", `00-${traceId}-${CALLER}-01`)).status).toBe(204);
    await spansOf(traceId, ["claimTasks"]);
    const ofNothing = collector.spans().filter(({ attributes, traceId: of }) => {
      const isEmptyClaim = attributes["http.response.status_code"] === 204 && of !== traceId;
      return isEmptyClaim || ["/livez", "/readyz", "/metrics"].includes(String(attributes["url.path"]));
    });
    expect(ofNothing).toEqual([]);
  });
});

describe("a collector that is away", () => {
  const span = (name: string) => ({
    ...exporter.tracer.begin(undefined),
    ...{ parentSpanId: undefined, name, kind: 1 as const, startMs: 1, endMs: 2, attributes: {} },
  });

  it("gets what waits when it is back, and is told of once", async () => {
    const { receiver, url: address, spans } = await startCollector();
    const logged: { msg: string }[] = [];
    const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });
    const { tracer, sendOnce } = exporterTo(address, log);
    receiver.answer = 503;
    tracer.record(span("kept"));
    await sendOnce();
    await sendOnce();
    receiver.received.length = 0;
    receiver.answer = 200;
    await sendOnce();
    await sendOnce();
    expect(spans().map(({ name }) => name)).toEqual(["kept"]);
    expect(logged).toMatchObject([
      { reason: "the collector answered 503", msg: expect.stringMatching(/^sending traces .+ failed/) },
      { msg: expect.stringMatching(/works again$/) },
    ]);
  });

  it("costs no more memory than 2,048 spans, and a stop does not wait until it answers", async () => {
    const { receiver, url: address, spans } = await startCollector();
    const { tracer, sendOnce, stop } = exporterTo(address);
    receiver.answer = 503;
    for (let made = 0; made < 3_000; made++) tracer.record(span("kept"));
    await sendOnce();
    receiver.received.length = 0;
    receiver.answer = 200;
    await sendOnce();
    expect(spans()).toHaveLength(2_048);
    receiver.answer = "never";
    tracer.record(span("lost"));
    await stop();
    expect(receiver.received).toHaveLength(5);
  });

  it("that refuses spans for good does not get them again", async () => {
    const { receiver, url: address } = await startCollector();
    const { tracer, sendOnce } = exporterTo(address);
    receiver.answer = 400;
    tracer.record(span("refused"));
    await sendOnce();
    await sendOnce();
    expect(receiver.received).toHaveLength(1);
  });
});
