import pg from "pg";
import { pino } from "pino";
import { expect, it, vi } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody, leaseTaskBody } from "../../src/contract/requests.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { autoDispatchOnce } from "../../src/queue/auto-dispatch.ts";
import { changedWorkers } from "../../src/queue/changed-workers.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { leaseTask } from "../../src/queue/lease-task.ts";
import { demandsDueSince } from "../../src/queue/newly-due.ts";
import { releaseTask } from "../../src/queue/release-task.ts";
import { renewDispatchedLease } from "../../src/queue/renew-dispatched-lease.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { cleanOnce } from "../../src/storage/clean-staged.ts";
import { moveOnce } from "../../src/storage/move-to-bucket.ts";
import { cleanDeliveries } from "../../src/webhooks/clean-deliveries.ts";
import { preparePosition } from "../../src/webhooks/queue-deliveries.ts";
import { openWebhookSender } from "../../src/webhooks/sender.ts";
import { fill } from "../bench/fill.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker, completion as success } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";

const GROWING = ["llm_tasks", "leases", "audit_logs", "llm_results", "runtime_artifacts", "runtime_output_chunks"];

it("no call and no loop reads a growing table from its beginning to its end, or a whole status for one row, nor is compiled for a large fleet", {
  timeout: 180_000,
}, async () => {
  const { db, url } = await createTestDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { completed, queued } = await fill(client, 50_000);
  const { api, dispatcher, resultWaiters } = await startApp(db);
  for (let n = 0; n < 3; n++) await aWorker(db, { name: `w${n}`, url: "http://127.0.0.1:9" });
  const asked = vi.spyOn(pg.Client.prototype, "query");
  const R = "/api/runtime";

  const task = { context_id: "c", agent_slug: "a", prompt: "p" };
  const { body: made } = await api.post(`${R}/llm-tasks`).set("Idempotency-Key", "k").send(task).expect(201);
  await api.post(`${R}/llm-tasks`).set("Idempotency-Key", "k").send(task).expect(200);
  const { body: given } = await api.post(`${R}/llm-tasks/${made.id}/lease`).send({}).expect(201);
  const fence = { lease_id: given.lease.id };
  await api.post(`${R}/llm-tasks/${made.id}/heartbeat`).send(fence).expect(200);
  const done = { status: "success", output: "o", metrics: { duration_ms: 1 }, ...fence };
  const { body: completion } = await api.post(`${R}/llm-tasks/${made.id}/complete`).send(done).expect(200);
  await api.post(`${R}/llm-tasks/${made.id}/complete`).send(done).expect(200);
  const { body: claimed } = await api
    .post(`${R}/llm-tasks/claim`)
    .send({ worker_id: "w0", wait_seconds: 0.1, agent_slugs: ["writer"] })
    .expect(200);
  const [{ task: held, lease }] = claimed.tasks;
  await api.post(`${R}/llm-tasks/${held.id}/release`).send({ lease_id: lease.id }).expect(200);
  await api.post(`${R}/llm-tasks/${queued}/dispatch`).send({}).expect(502);
  await api.post(`${R}/llm-tasks/${queued}/cancel`).send({}).expect(200);
  const [{ id: failed }] = (await api.get(`${R}/llm-tasks?status=failed&limit=1`)).body;
  await api.post(`${R}/llm-tasks/${failed}/requeue`).expect(200);
  // Three of a kind at once: the first goes by itself, and the others in a batch.
  const three = <Answer>(act: (n: number) => Promise<Answer>) => Promise.all([0, 1, 2].map(act));
  const made3 = await three(() => aTask(db));
  const idOf = (n: number) => made3[n]?.id ?? "";
  const leased = await three((n) => leaseTask(db, NOBODY, idOf(n), leaseTaskBody.parse({})));
  const fenceOf = (n: number) => ({ lease_id: leased[n]?.lease.id ?? "" });
  await three((n) => heartbeat(db, NOBODY, idOf(n), fenceOf(n)));
  await three((n) => releaseTask(db, NOBODY, idOf(n), { ...fenceOf(n), started: true, reason: "" }));
  const claims = await three((n) => claimTasks(db, NOBODY, claimTasksBody.parse({ worker_id: `w${n}` })));
  const taken = claims.map(({ leased: [first] }) => first?.lease);
  await three((n) =>
    completeTask(db, NOBODY, inDatabase, taken[n]?.task_id ?? "", success({ lease_id: taken[n]?.id })),
  );
  const [{ id: stillQueued }] = (await api.get(`${R}/llm-tasks?status=queued&limit=1`)).body;
  const lists = [
    "/llm-tasks",
    "/llm-tasks?status=completed",
    "/llm-tasks?status=dead",
    "/leases",
    "/leases?status=active",
  ];
  lists.push("/leases?status=expired", "/leases?status=released", "/artifacts", `/artifacts?task_id=${completed}`);
  lists.push(
    "/audit",
    "/runs",
    "/workers",
    "/workers/w0",
    `/artifacts/${completion.artifact.id}/content`,
    "/stats",
    "/overview",
  );
  const filters = [
    "status=failed,dead,queued",
    "context_id=context-3",
    "agent_slug=none&status=completed",
    "error_kind=crashed",
    "q=seeds",
  ];
  filters.push("worker_id=bench-1&created_before=1", `q=${completed}`, `created_after=${Date.now()}&fields=slim`);
  lists.push(...filters.map((filter) => `/llm-tasks?${filter}`));
  lists.push("/leases?worker_id=bench-1", "/leases?status=expired,active&context_id=c", `/leases?task_id=${completed}`);
  lists.push("/artifacts?type=T", `/artifacts?task_id=${completed}&type=T`, "/audit?action=worker_offline&limit=1");
  lists.push(`/audit?entity_id=${completed}`, "/audit?entity_type=worker", "/audit?actor=nobody&created_before=1");
  for (const part of ["", "/explain", "/result", "/results", "/history"])
    lists.push(`/llm-tasks/${completed}${part}`, `/llm-tasks/${failed}${part}`);
  for (const path of lists) {
    const { headers, status } = await api.get(R + path);
    // 202 is the result of a task that has not ended.
    expect([path, status < 300]).toEqual([path, true]);
    const next = headers.link?.match(/<(.*)>/)?.[1];
    if (next) await api.get(next).expect(200);
  }
  await api.get("/metrics").expect(200);
  await api.delete(`${R}/workers/w2`).expect(200);
  const log = pino({ level: "silent" });
  await sweepOnce(db);
  await moveOnce(db, inDatabase);
  await cleanOnce(db, inDatabase);
  await preparePosition(db);
  await api
    .post(`${R}/webhooks`)
    .send({ url: "http://127.0.0.1:9", events: ["task.*"] })
    .expect(201);
  const sender = openWebhookSender(db, {
    outbound: createOutbound(),
    box: createSecretBox("a secret for tests"),
    callbackSecrets: [],
  });
  await sender.passOnce();
  await sender.stop();
  await cleanDeliveries(db);
  await api.get(`${R}/webhook-deliveries?state=failed`).expect(200);
  await autoDispatchOnce(db, dispatcher, "http://127.0.0.1:9", log);
  const waiting = api.get(`${R}/llm-tasks/${stillQueued}/result?wait_seconds=25`).then(({ status }) => status);
  await eventually(() => expect(resultWaiters.size()).toBe(1));
  await api.post(`${R}/llm-tasks/${stillQueued}/cancel`).send({}).expect(200);
  expect(await waiting).toBe(200);
  await demandsDueSince(db, Date.now(), 1_000, { labels: ["gpu"], slugs: ["writer"] });
  await changedWorkers(db, new Map([["w1", { labels: "[]", hasRoom: false }]]));
  await renewDispatchedLease(db, lease.id);

  const statements = new Map<string, unknown[]>();
  for (const [query, values] of asked.mock.calls as unknown as [string | pg.QueryConfig, unknown[]?][]) {
    const text = typeof query === "string" ? query : query.text;
    const given = (typeof query === "string" ? undefined : query.values) ?? (Array.isArray(values) ? values : []);
    if (/^\s*(with|select|insert|update|delete)\b/i.test(text)) statements.set(text, given);
  }
  asked.mockRestore();
  expect(statements.size).toBeGreaterThan(40);
  expect([...statements.keys()].filter((text) => text.includes("json_to_recordset"))).toHaveLength(6);
  // The first count of the stats reads all rows, as it must; the later ones read what is newer.
  for (const text of statements.keys()) if (text.includes("clock.settled")) statements.delete(text);
  const isScan = (line: string) => GROWING.some((table) => line.includes(`Seq Scan on ${table}`));
  expect(await inPlans(client, statements, isScan)).toEqual([]);

  // From this cost on, PostgreSQL compiles a query before it runs it (jit_above_cost), which takes it longer than any of these queries.
  await client.query(
    `insert into workers (id, node_id, url, status, capabilities, registered_at, last_heartbeat)
     select 'many-' || n, 'n', 'http://127.0.0.1:9', 'online', '{"claude_cli": true, "max_concurrency": 2, "labels": []}', 1, 1
     from generate_series(1, 20000) n`,
  );
  await client.query("analyze workers");
  // The first line of a plan, which is not indented, has the cost of the whole.
  const isCompiled = (line: string) => Number(/^\S.*\(cost=[\d.]+\.\.([\d.]+)/.exec(line)?.[1]) > 100_000;
  expect(await inPlans(client, statements, isCompiled)).toEqual([]);
  await client.end();

  // As they are planned while the tables are empty: what is looked up by its id must not be looked for among all that have its status.
  const first = new pg.Client({ connectionString: (await createTestDatabase()).url });
  await first.connect();
  await first.query("set enable_seqscan = off");
  const isDetour = (line: string) => /(Filter:|Index Cond:.*\bstatus =).*\bid = '[0-9a-f-]{36}'/.test(line);
  expect(await inPlans(first, statements, isDetour)).toEqual([]);
  await first.end();
});

/** The lines in the statements' plans that are `bad`. */
async function inPlans(
  client: pg.Client,
  statements: Map<string, unknown[]>,
  bad: (line: string) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  for (const [text, values] of statements) {
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain ${text}`, values);
    for (const { "QUERY PLAN": line } of rows) if (bad(line)) found.push(`${line.trim()}: ${text}`);
  }
  return found;
}
