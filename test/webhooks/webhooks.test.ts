import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { parseAllowed } from "../../src/callable-addresses.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { isSecret } from "../../src/webhook-secret.ts";
import { claimDeliveries } from "../../src/webhooks/claim-deliveries.ts";
import { cleanDeliveries } from "../../src/webhooks/clean-deliveries.ts";
import { preparePosition, queueDeliveries } from "../../src/webhooks/queue-deliveries.ts";
import { recordDelivery } from "../../src/webhooks/record-delivery.ts";
import { sealSecretsAnew } from "../../src/webhooks/seal-secrets-anew.ts";
import { openWebhookSender, type WebhookSender } from "../../src/webhooks/sender.ts";
import { startApp } from "../support/app.ts";
import { workerEntry } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { type Received, startReceiver, type WebhookReceiver } from "../support/webhook-receiver.ts";

const { db, query } = await createTestDatabase();
const CALLBACKS = {
  CALLBACK_SECRET: "whsec_bmV3LWNhbGxiYWNrLXNlY3JldC1vZi0zMmI=",
  CALLBACK_SECRET_PREVIOUS: "whsec_b2xkLWNhbGxiYWNrLXNlY3JldC1vZi0zMmI=",
};
const { api, logged } = await startApp(db, { env: CALLBACKS });
const receiver = await startReceiver();
const HOOKS = "/api/runtime/webhooks";
const DELIVERIES = "/api/runtime/webhook-deliveries";
const box = createSecretBox("a secret for tests");
const NOTHING: Received = { headers: {}, body: "", path: "" };
const until = (check: () => unknown) => eventually(check, { interval: 20 });

function aSender(allowed?: string): WebhookSender {
  const outbound = createOutbound(allowed === undefined ? undefined : parseAllowed(allowed), { meters: db.meters });
  const sender = openWebhookSender(db, { outbound, box, callbackSecrets: Object.values(CALLBACKS) });
  afterAll(async () => {
    await sender.stop();
    await outbound.destroy();
  });
  return sender;
}
const sender = aSender();
await preparePosition(db);

const aHook = async (events = ["task.*"], { url } = receiver, more = {}) =>
  (
    await api
      .post(HOOKS)
      .send({ url, events, ...more })
      .expect(201)
  ).body;
const hookOf = async (id: string) => (await api.get(`${HOOKS}/${id}`).expect(200)).body;
const deliveriesOf = async (filter: string) => (await api.get(`${DELIVERIES}?${filter}`).expect(200)).body;
const typesAt = ({ received }: WebhookReceiver) => received.map(({ body }) => JSON.parse(body).type).toSorted();
const cancel = (id: string) => api.post(`/api/runtime/llm-tasks/${id}/cancel`).send({}).expect(200);

/** Lets what waits be due now, and all rests be over. */
async function makeDue(): Promise<void> {
  await query("update runtime_webhook_deliveries set next_at = 0 where state = 'pending'");
  await query("update runtime_webhook_rests set until = 0");
  await query("update runtime_callback_turns set due_at = 0");
}
/** True when everything that was written so far is queued. Transactions of other databases on the server may delay that. */
async function isQueued(): Promise<boolean> {
  const left = `select from audit_logs e, runtime_webhook_position p
    where (e.xid, e.seq) > (p.xid, p.seq) and (exists (select from runtime_webhooks where off_since is null)
      or exists (select from llm_tasks where callback_url is not null)) limit 1`;
  return (await query(left)).length === 0;
}
/** Sends what is due, and waits until the outcome of each call is recorded. */
async function pass(by = sender): Promise<void> {
  await until(async () => {
    await by.passOnce();
    expect(await isQueued()).toBe(true);
  });
  await by.idle();
}

beforeEach(async () => {
  await query("truncate runtime_webhooks, runtime_webhook_deliveries, runtime_webhook_rests, runtime_callback_turns");
  Object.assign(receiver, { received: [], answer: 204 });
});

describe("a webhook", () => {
  it("is sent the events that it wants, each once, signed as the specification says", async () => {
    await aTask(db);
    const hook = await aHook(["task.cancelled", "webhook.*"]);
    expect(isSecret(hook.secret)).toBe(true);
    const { id } = await aTask(db);
    await cancel(id);
    await pass();
    await pass();
    const { headers, body } = receiver.received.find((one) => one.body.includes(id)) ?? NOTHING;
    const said = new Verifier(hook.secret).verify(body, headers as Record<string, string>);
    expect(said).toEqual({
      type: "task.cancelled",
      timestamp: expect.stringMatching(/^20.*Z$/),
      data: { task_id: id, entity_type: "llm_task", entity_id: id, audit_id: expect.any(String) },
    });
    // That of its own creation is of the same moment, and stands before or behind it.
    const delivery = (await deliveriesOf(`webhook_id=${hook.id}`)).find(({ type }: { type: string }) =>
      type.startsWith("task."),
    );
    expect(delivery).toMatchObject({ id: headers["webhook-id"], state: "delivered", attempts: 1, last_status: 204 });
    // Its own creation, and the cancellation; not the task's creation.
    expect(typesAt(receiver)).toEqual(["task.cancelled", "webhook.created"]);
    expect((await hookOf(hook.id)).last_success_at).toBeGreaterThan(0);
  });

  it("is sent nothing of what was rolled back, and what commits late", async () => {
    await aHook(["worker.updated"]);
    const commitLate = await holdTransaction(db, workerEntry("late"));
    await db
      .transaction(async (tx) => {
        await tx.execute(workerEntry("rolled back"));
        throw new Error("rolled back");
      })
      .catch(() => {});
    await query(workerEntry("soon"));
    await sender.passOnce();
    expect(receiver.received).toEqual([]);
    await commitLate();
    await until(async () => {
      await sender.passOnce();
      expect(receiver.received.map((one) => JSON.parse(one.body).data.entity_id).toSorted()).toEqual(["late", "soon"]);
    });
  });

  it("is signed with both secrets while one is changed, and its secrets are shown once and stored sealed", async () => {
    const first = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const hook = await aHook(["task.created"], receiver, { secret: first });
    const { body: rotated } = await api.post(`${HOOKS}/${hook.id}/rotate`).send({}).expect(200);
    expect(rotated.secret).not.toBe(first);
    await aTask(db);
    await pass();
    const { headers, body } = receiver.received[0] ?? NOTHING;
    for (const secret of [first, rotated.secret]) new Verifier(secret).verify(body, headers as Record<string, string>);
    await query("update runtime_webhooks set previous_secret_until = 1");
    await aTask(db);
    await pass();
    const { headers: later, body: text } = receiver.received[1] ?? NOTHING;
    expect(() => new Verifier(first).verify(text, later as Record<string, string>)).toThrow();
    new Verifier(rotated.secret).verify(text, later as Record<string, string>);

    const shown = [await hookOf(hook.id), (await api.get(HOOKS)).body, await deliveriesOf(""), logged];
    const stored = [
      await query("select * from runtime_webhooks"),
      await query("select * from audit_logs"),
      await query("select * from runtime_webhook_deliveries"),
    ];
    for (const secret of [first, rotated.secret])
      expect(JSON.stringify([shown, stored])).not.toContain(secret.slice("whsec_".length));

    // The settings key is changed: what it sealed is sealed anew.
    const other = createSecretBox("another secret for tests", "a secret for tests");
    await sealSecretsAnew(db, other);
    const [row] = await query<{ secret: string }>("select secret from runtime_webhooks");
    expect(other.isCurrent(`webhook ${hook.id}`, row?.secret ?? "")).toBe(true);
    await aTask(db);
    await pass();
    expect((await deliveriesOf(`webhook_id=${hook.id}&state=pending`))[0].last_error).toContain("SETTINGS_KEY");
  });

  it("is tried again under the same id after an error, when Retry-After says so, and rests after several", async () => {
    receiver.answer = { status: 503, headers: { "retry-after": "3000" } };
    const hook = await aHook(["task.created"]);
    await aTask(db);
    await pass();
    const [failed] = await deliveriesOf(`webhook_id=${hook.id}`);
    expect(failed).toMatchObject({ state: "pending", attempts: 1, last_status: 503, last_error: "it answered 503" });
    expect(failed.next_at - failed.created_at).toBeGreaterThan(2_900_000);
    // The receiver rests: another event waits too.
    await aTask(db);
    await sender.passOnce();
    expect(receiver.received).toHaveLength(1);
    receiver.answer = 204;
    await makeDue();
    await until(async () => {
      await sender.passOnce();
      expect(await deliveriesOf(`webhook_id=${hook.id}&state=delivered`)).toHaveLength(2);
    });
    expect(receiver.ids().filter((id) => id === failed.id)).toHaveLength(2);
    expect(await query("select from runtime_webhook_rests")).toEqual([]);
  });

  it("is turned off with an entry and an event when it took nothing for three days; turned on, it gets the rest", async () => {
    receiver.answer = 500;
    const hook = await aHook(["task.created"]);
    const other = await startReceiver();
    await aHook(["webhook.off", "webhook.failed"], other);
    await aTask(db);
    await pass();
    await query("update runtime_webhook_deliveries set retry_until = 1");
    await makeDue();
    await pass();
    expect(await hookOf(hook.id)).toMatchObject({
      off_since: expect.any(Number),
      off_reason: expect.stringContaining("took nothing for 3 days"),
    });
    await pass();
    await until(() => expect(typesAt(other)).toEqual(["webhook.failed", "webhook.off"]));
    const [failed] = await deliveriesOf(`webhook_id=${hook.id}&state=failed`);
    await api.post(`${DELIVERIES}/${failed.id}/resend`).expect(409);
    await api.patch(`${HOOKS}/${hook.id}`).send({ on: true }).expect(200);
    receiver.answer = 204;
    await api.post(`${DELIVERIES}/${failed.id}/resend`).expect(202);
    await pass();
    expect(await deliveriesOf(`webhook_id=${hook.id}`)).toMatchObject([{ id: failed.id, state: "delivered" }]);
  });

  it("is turned off at once by 410, and stays on when only one message is refused for three days", async () => {
    const picky = await aHook(["task.created"]);
    await aTask(db);
    await pass();
    receiver.answer = 400;
    await aTask(db);
    await pass();
    await query(
      "update runtime_webhook_deliveries set retry_until = 1, created_at = created_at - 3600000 where state = 'pending'",
    );
    await makeDue();
    await pass();
    expect((await deliveriesOf(`webhook_id=${picky.id}&state=failed`)).length).toBe(1);
    expect((await hookOf(picky.id)).off_since).toBeNull();
    receiver.answer = 410;
    await aTask(db);
    await pass();
    expect((await hookOf(picky.id)).off_reason).toContain("410");
  });

  it("is sent all that waits for it after one pass, four messages at a time", async () => {
    await aHook(["task.created"]);
    for (let n = 0; n < 80; n++) await aTask(db);
    await until(async () => {
      await queueDeliveries(db);
      expect(await isQueued()).toBe(true);
    });
    await sender.passOnce();
    await until(() => expect(receiver.received).toHaveLength(80));
    await sender.idle();
  });

  it("is sent each event once by two instances, also beside a receiver that never answers", async () => {
    const slow = await startReceiver();
    slow.answer = "never";
    await aHook(["task.created"], slow);
    const { id } = await aHook(["task.created"]);
    const two = aSender();
    for (let n = 0; n < 40; n++) await aTask(db);
    // What arrived is recorded a moment later.
    await until(async () => {
      await Promise.all([sender.passOnce(), two.passOnce()]);
      expect(await deliveriesOf(`webhook_id=${id}&state=delivered`)).toHaveLength(40);
    });
    expect(receiver.received).toHaveLength(40);
    expect(new Set(receiver.ids()).size).toBe(40);
    // Stopped, an instance gives back what it was sending.
    await two.stop();
    const calling = "select from runtime_webhook_deliveries where state = 'pending' and attempts > 0";
    expect((await query(calling)).length).toBeLessThanOrEqual(4);
    // The other one would wait for these calls in the tests that follow, until their time is over.
    slow.hangUp();
  });

  it("is not called at a redirect, nor at an address that is not allowed", async () => {
    const target = await startReceiver();
    receiver.answer = { status: 302, headers: { location: target.url } };
    const hook = await aHook(["task.created"]);
    await aTask(db);
    await pass();
    expect((await deliveriesOf(`webhook_id=${hook.id}`))[0].last_error).toContain("redirect");
    expect(target.received).toEqual([]);
    // A name is checked when it is called: here it has an address that is not allowed.
    await api
      .patch(`${HOOKS}/${hook.id}`)
      .send({ url: receiver.url.replace("127.0.0.1", "localhost") })
      .expect(200);
    const before = receiver.received.length;
    await makeDue();
    const strictSender = aSender("10.0.0.0/8");
    await until(async () => {
      await pass(strictSender);
      expect((await deliveriesOf(`webhook_id=${hook.id}`))[0].last_error).toContain("OUTBOUND_ALLOW");
    });
    expect(receiver.received).toHaveLength(before);
    const { api: strict } = await startApp(db, { env: { OUTBOUND_ALLOW: "10.0.0.0/8" } });
    for (const url of [receiver.url, "http://169.254.169.254/x", "http://u:p@10.0.0.1/", "ftp://10.0.0.1/"])
      await strict
        .post(HOOKS)
        .send({ url, events: ["task.*"] })
        .expect(400);
  });

  it("is refused where there are 100 already, however many are made at the same moment", async () => {
    await query(`insert into runtime_webhooks (id, url, events, secret, from_seq, created_at, updated_at)
      select gen_random_uuid(), 'https://hooks.example/' || n, '["task.*"]', 'sealed', 0, 1, 1 from generate_series(1, 96) as n`);
    const asked = Array.from({ length: 12 }, () => api.post(HOOKS).send({ url: receiver.url, events: ["task.*"] }));
    const statuses = (await Promise.all(asked)).map(({ status }) => status).toSorted();
    expect(statuses).toEqual([...Array(4).fill(201), ...Array(8).fill(409)]);
    expect(await query("select count(*)::int as count from runtime_webhooks")).toEqual([{ count: 100 }]);
  });

  it("is changed and removed, with what was still to be sent; nonsense is refused", async () => {
    receiver.answer = 500;
    const hook = await aHook(["task.created"]);
    await aTask(db);
    await pass();
    await api
      .patch(`${HOOKS}/${hook.id}`)
      .send({ events: ["task.dead"], on: false })
      .expect(200);
    expect(await hookOf(hook.id)).toMatchObject({ events: ["task.dead"], off_reason: "turned off by an admin" });
    await api.delete(`${HOOKS}/${hook.id}`).expect(200);
    expect(await deliveriesOf(`webhook_id=${hook.id}`)).toEqual([]);
    for (const gone of [hook.id, "x"]) await api.get(`${HOOKS}/${gone}`).expect(404);
    await api.post(`${DELIVERIES}/x/resend`).expect(404);
    for (const wrong of [{ events: ["nothing"] }, { events: [] }, { secret: "whsec_short" }, { secret: "x" }])
      await api
        .post(HOOKS)
        .send({ url: receiver.url, events: ["task.*"], ...wrong })
        .expect(400);
    const details = await query<{ detail: string }>("select detail from audit_logs where entity_type = 'webhook'");
    expect(JSON.stringify(details)).not.toContain("/hook");
  });
});

describe("the callback_url of a task", () => {
  const task = { context_id: "c", agent_slug: "a", prompt: "p" };
  const R = "/api/runtime";

  it("is told of the task's end, signed with the secrets of the settings, and in no other way", async () => {
    const callback_url = `${receiver.url}?of=task`;
    const { body: made } = await api
      .post(`${R}/llm-tasks`)
      .send({ ...task, callback_url })
      .expect(201);
    const { body: bulk } = await api.post(`${R}/llm-tasks/bulk`).send({ tasks: [{ ...task, callback_url }, task] });
    expect(made).toMatchObject({ callback_url });
    for (const id of [made.id, ...bulk.results.map((each: { id: string }) => each.id)]) await cancel(id);
    await pass();
    await pass();
    expect(receiver.received.map(({ path }) => path)).toEqual(["/hook?of=task", "/hook?of=task"]);
    const { headers, body } = receiver.received.find((one) => one.body.includes(made.id)) ?? NOTHING;
    for (const secret of Object.values(CALLBACKS))
      expect(new Verifier(secret).verify(body, headers as Record<string, string>)).toMatchObject({
        type: "task.cancelled",
      });
    const [delivery] = await deliveriesOf(`task_id=${made.id}`);
    expect(delivery).toMatchObject({ webhook_id: null, url: callback_url, state: "delivered" });
    await api.post(`${DELIVERIES}/${delivery.id}/resend`).expect(202);
    await pass();
    expect(receiver.ids().filter((id) => id === delivery.id)).toHaveLength(2);
  });

  it("is told, and so is everybody else, when its address is written in another way or has an endless host", async () => {
    const { host } = new URL(receiver.url);
    const odd = [
      `http:${host}/odd`,
      ` http://${host}/odd`,
      `http:\\\\${host}/odd`,
      `http://${"жбґ".repeat(600)}.example`,
    ];
    for (const callback_url of [...odd, receiver.url]) {
      const { body: made } = await api
        .post(`${R}/llm-tasks`)
        .send({ ...task, callback_url })
        .expect(201);
      await cancel(made.id);
    }
    await until(async () => {
      await pass();
      expect(receiver.received.map(({ path }) => path).toSorted()).toEqual(["/hook", "/odd", "/odd", "/odd"]);
    });
  });

  it("leaves room for webhooks, however many hosts tasks name", async () => {
    const hook = await aHook(["task.created"]);
    const tasks = Array.from({ length: 120 }, (_, n) => ({
      ...task,
      context_id: "many",
      callback_url: `http://h${n}.example`,
    }));
    await api.post(`${R}/llm-tasks/bulk`).send({ tasks }).expect(200);
    await api
      .post(`${R}/llm-tasks/cancel`)
      .send({ filter: { context_id: "many" } })
      .expect(200);
    await until(async () => {
      await queueDeliveries(db);
      expect(await isQueued()).toBe(true);
    });
    const claimed = await claimDeliveries(db, new Map(), 100);
    const callbacks = claimed.filter(({ target }) => target.startsWith("callback "));
    expect(callbacks).toHaveLength(50);
    expect(claimed.filter(({ target }) => target === hook.id)).toHaveLength(4);
    const calls = new Map(claimed.map(({ target }) => [target, 1]));
    expect(new Set((await claimDeliveries(db, calls, 46)).map(({ target }) => target))).toEqual(new Set([hook.id]));
  });

  /** Queues `count` callbacks to each host, due in `dueInMs`. */
  const queueCallbacks = (hosts: string[], count = 1, dueInMs = 0) =>
    query(
      `insert into runtime_webhook_deliveries
        (id, target, url, type, entry_id, occurred_at, entity_type, entity_id, state, attempts, next_at, retry_until, created_at)
       select gen_random_uuid(), 'callback ' || host, 'http://' || host, 'task.dead', gen_random_uuid(), 1, 'llm_task', 'x', 'pending', 0,
         floor(extract(epoch from now()) * 1000) + $3, 1e15::bigint, 1
       from unnest($1::text[]) host, generate_series(1, $2)`,
      [hosts, count, dueInMs],
    );
  const hostsOf = (claimed: { target: string }[]) =>
    claimed.map(({ target }) => target.replace("callback ", "")).toSorted();
  const someHosts = (count: number, name = "h") => Array.from({ length: count }, (_, n) => `${name}${n}.example`);

  it("is claimed at a cost that follows what is due, not how many hosts wait for another attempt", async () => {
    await queueCallbacks(someHosts(3_000), 1, 3_600_000);
    await queueCallbacks(["due.example"], 2);
    await queueCallbacks(["due-too.example"], 1);
    const reads =
      "select sum(idx_scan + seq_scan)::int as reads from pg_stat_xact_user_tables where relname ~ 'webhook|callback'";
    const countReads = async (tx: typeof db) => Number((await tx.execute<{ reads: number }>(reads)).rows[0]?.reads);
    const { claimed, cost } = await db.transaction(async (tx) => {
      const before = await countReads(tx);
      return { claimed: await claimDeliveries(tx, new Map(), 100), cost: (await countReads(tx)) - before };
    });
    expect(hostsOf(claimed)).toEqual(["due-too.example", "due.example", "due.example"]);
    expect(cost).toBeLessThan(100);
  });

  it("has its turn among hosts with much to get, which are busy, rest, or never answer", async () => {
    await queueCallbacks(someHosts(20, "slow"), 30);
    const slow = await claimDeliveries(db, new Map(), 100);
    expect(slow).toHaveLength(50);
    const calls = new Map<string, number>();
    for (const { target } of slow) calls.set(target, (calls.get(target) ?? 0) + 1);
    expect(Math.max(...calls.values())).toBe(4);
    // The others of these twenty come next, before those that have just had their turn.
    const room = 100 - slow.length;
    const next = await claimDeliveries(db, new Map([...calls.keys()].map((target) => [target, 0])), room);
    expect(new Set([...hostsOf(slow), ...hostsOf(next)]).size).toBe(20);
    // Each has failed by now and rests; what another host is told comes through.
    const resting = "insert into runtime_webhook_rests select target, 3, 1e15::bigint from runtime_callback_turns";
    await query(resting);
    await queueCallbacks(["well.example"], 3);
    expect(hostsOf(await claimDeliveries(db, new Map(), 1))).toEqual([]);
    expect(hostsOf(await claimDeliveries(db, new Map(), 100))).toEqual(Array(3).fill("well.example"));
    // A host that answers again is not left until its rest would have ended.
    const [first] = slow;
    if (!first) throw new Error("Nothing was claimed.");
    await recordDelivery(db, first, {
      isTaken: true,
      status: 204,
      error: null,
      isTargetDown: false,
      isGone: false,
      retryAfterMs: 0,
    });
    expect(new Set(hostsOf(await claimDeliveries(db, new Map(), 100)))).toEqual(new Set(hostsOf([first])));
  });

  it("is never forgotten nor claimed twice by several instances while more is queued", async () => {
    const hosts = someHosts(3);
    const claimed: string[] = [];
    const claim = async () => void claimed.push(...(await claimDeliveries(db, new Map(), 100)).map(({ id }) => id));
    // One is queued while its host has its turn.
    await queueCallbacks(hosts);
    const commit = await holdTransaction(db, "select from runtime_callback_turns for update");
    const queued = queueCallbacks(hosts);
    await claim();
    expect(claimed).toEqual([]);
    await commit();
    await queued;
    for (let round = 0; round < 20; round++) await Promise.all([claim(), queueCallbacks(hosts), claim(), claim()]);
    await until(async () => {
      await claim();
      expect(claimed).toHaveLength(3 * 22);
    });
    expect(new Set(claimed).size).toBe(3 * 22);
  });

  it("is refused where it could not be signed or may not be called", async () => {
    const callback_url = receiver.url;
    const { api: unsigned } = await startApp(db);
    await unsigned
      .post(`${R}/llm-tasks`)
      .send({ ...task, callback_url })
      .expect(400);
    const { api: strict } = await startApp(db, { env: { ...CALLBACKS, OUTBOUND_ALLOW: "10.0.0.0/8" } });
    const { body } = await strict
      .post(`${R}/llm-tasks`)
      .send({ ...task, callback_url })
      .expect(400);
    expect(body.error.fieldErrors.callback_url[0]).toContain("OUTBOUND_ALLOW");
    const key = await createKey(db, undefined, "submitter", "submit");
    const { api: keyed } = await startApp(db, { env: { ...CALLBACKS, RUNTIME_API_KEY: "the-main-key-of-the-tests" } });
    const asked = { ...task, callback_url: "http://10.0.0.1/x" };
    await keyed.post(`${R}/llm-tasks`).set("X-Runtime-API-Key", key).send(asked).expect(400);
    const { body: bulk } = await strict.post(`${R}/llm-tasks/bulk`).send({ tasks: [{ ...task, callback_url }, asked] });
    expect(bulk.results.map(({ code }: { code: number }) => code)).toEqual([400, 201]);
    const { id } = (await api.post(`${R}/llm-tasks`).send(task).expect(201)).body;
    await strict.post(`${R}/llm-tasks/${id}/replay`).send({ changes: { callback_url } }).expect(400);
  });
});

it("deliveries are kept for a week", async () => {
  const hook = await aHook(["task.created"]);
  await aTask(db);
  await pass();
  expect(await cleanDeliveries(db)).toBe(0);
  await query(
    "update runtime_webhook_deliveries set created_at = created_at - 7 * 86400000, retry_until = retry_until - 7 * 86400000",
  );
  expect(await cleanDeliveries(db)).toBe(1);
  expect(await deliveriesOf(`webhook_id=${hook.id}`)).toEqual([]);
});
