import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ROLES, type Role } from "../../src/db/roles.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createKey, listKeys, revokeKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS, OPEN_CALLS } from "../support/every-call.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { KEY_HEADER, keyOfEachRole, MAIN_KEY } from "../support/keys.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: MAIN_KEY, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", WRONG_KEY_LIMIT_PER_MINUTE: "0" };
const { api, url, claimWaiters } = await startApp(db, { env });
const keys = await keyOfEachRole(db);

const R = "/api/runtime";
// The agent's health makes the service call the agent, webhooks are told where events go, and keys open the service; all are for admins.
const FOR_ADMINS = /\/agent-health$|\/webhooks|\/webhook-deliveries|\/keys$/;
const reads = CALLS.filter(([method, path]) => method === "get" && !FOR_ADMINS.test(path)).map(
  ([method, path]) => `${method} ${path}`,
);
const WORK = ["claim", "x/lease", "x/heartbeat", "x/complete", "x/stream", "x/release"].map(
  (verb) => `post ${R}/llm-tasks/${verb}`,
);
/** What each role may call, besides the three open calls. */
const MAY: Record<Role, string[]> = {
  admin: CALLS.map(([method, path]) => `${method} ${path}`),
  read: [...reads, "post /mcp"],
  submit: [
    ...reads,
    "post /mcp",
    `post ${R}/llm-tasks`,
    `post ${R}/llm-tasks/bulk`,
    `post ${R}/llm-tasks/replay`,
    `post ${R}/llm-tasks/x/replay`,
  ],
  // A call that acts for a worker checks whose worker or lease it is about; "role escalation" below tries each.
  work: [
    ...WORK,
    `put ${R}/llm-tasks/x/output`,
    `get ${R}/llm-tasks/x/input/context_hints`,
    `post ${R}/workers`,
    `get ${R}/worker.sh`,
    `get ${R}/agent-install-script`,
    `get ${R}/whoami`,
  ],
};

describe.each(ROLES)("a key with the role %s", (role) => {
  it.each(CALLS)("%s %s", async (method, path) => {
    const call = `${method} ${path}`;
    const asking = api[method](path).set(KEY_HEADER, keys[role]);
    const { status } = await (method === "post" ? asking.send({ worker_id: `key-${role}` }) : asking);
    expect(status === 403).toBe(!(OPEN_CALLS.includes(call) || MAY[role].includes(call)));
    expect(status).not.toBe(401);
  });
});

describe.each(ROLES.filter((role) => role !== "admin"))("a key with the role %s", (role) => {
  it("gains nothing by another spelling of the path, or another method", async () => {
    for (const path of [
      `${R}/LLM-TASKS/x/requeue`,
      `${R}/llm-tasks/claim%2f..%2fx/requeue`,
      `${R}/llm-tasks/x/requeue/`,
    ])
      expect([403, 404]).toContain((await api.post(path).set(KEY_HEADER, keys[role])).status);
    await api.post(`${R.toUpperCase()}/config`).set(KEY_HEADER, keys[role]).expect(403);
    await api.post(`${R}/config`).set(KEY_HEADER, keys[role]).set("X-HTTP-Method-Override", "GET").expect(403);
    await api.delete(`${R}/workers/x`).set(KEY_HEADER, keys[role]).expect(403);
  });
});

it("a refusal says which roles may make the call", async () => {
  const refusal = async (role: Role, path: string) =>
    (await api.post(path).set(KEY_HEADER, keys[role]).send({}).expect(403)).body.error;
  expect([
    await refusal("read", `${R}/llm-tasks`),
    await refusal("submit", `${R}/llm-tasks/claim`),
    await refusal("work", `${R}/config`),
  ]).toEqual([
    'A key with the role "read" may not do this; one with the role "submit" or "admin" may.',
    'A key with the role "submit" may not do this; one with the role "work" or "admin" may.',
    'A key with the role "work" may not do this; one with the role "admin" may.',
  ]);
});

describe("a named key", () => {
  const task = { context_id: "c", agent_slug: "a", prompt: "p" };

  it("is who did it", async () => {
    const { id } = (await api.post(`${R}/llm-tasks`).set(KEY_HEADER, keys.submit).send(task).expect(201)).body;
    await api.post(`${R}/workers`).set(KEY_HEADER, keys.work).send({ name: "key-work" }).expect(201);
    const ask = { worker_id: "key-work" };
    const { tasks } = (await api.post(`${R}/llm-tasks/claim`).set(KEY_HEADER, keys.work).send(ask).expect(200)).body;
    expect(tasks[0].task.id).toBe(id);
    const entries = await query(
      "select action, actor from audit_logs where timestamp > 0 and action <> 'key_created' order by id",
    );
    expect(entries).toEqual([
      { action: "task_created", actor: "key-submit" },
      { action: "worker_registered", actor: "key-work" },
      { action: "task_leased", actor: "key-work" },
    ]);
  });

  it("is made, listed and revoked by an admin's calls, and shown once", async () => {
    const made = (
      await api.post(`${R}/keys`).set(KEY_HEADER, keys.admin).send({ name: "rpi", role: "work" }).expect(201)
    ).body;
    expect(made).toEqual({ name: "rpi", role: "work", key: expect.stringMatching(/^bloom_/) });
    expect((await api.get(`${R}/whoami`).set(KEY_HEADER, made.key).expect(200)).body).toMatchObject({ key: "rpi" });
    const listed = await api.get(`${R}/keys`).set(KEY_HEADER, keys.admin).expect(200);
    expect(listed.body.at(-1)).toMatchObject({ name: "rpi", role: "work", revoked_at: null });
    expect(JSON.stringify(listed.body)).not.toContain(made.key);
    for (const wrong of [{ name: "a b", role: "work" }, { name: "x", role: "king" }, { name: "x" }])
      await api.post(`${R}/keys`).set(KEY_HEADER, keys.admin).send(wrong).expect(400);
    await api.post(`${R}/keys`).set(KEY_HEADER, keys.admin).send({ name: "rpi", role: "read" }).expect(409);
    const revoked = await api.delete(`${R}/keys/rpi`).set(KEY_HEADER, keys.admin).expect(200);
    expect(revoked.body).toEqual({ revoked: 1 });
    await api.get(`${R}/whoami`).set(KEY_HEADER, made.key).expect(401);
    await api.delete(`${R}/keys/rpi`).set(KEY_HEADER, keys.admin).expect(404);
    await api.delete(`${R}/keys/%00`).set(KEY_HEADER, keys.admin).expect(404);
    const entries = await query("select actor, action from audit_logs where entity_id = 'rpi' order by seq");
    expect(entries).toEqual([
      { actor: "key-admin", action: "key_created" },
      { actor: "key-admin", action: "key_revoked" },
    ]);
  });

  // The service itself takes the task back that could not be dispatched.
  it("is who did it in every call that is written down", async () => {
    const post = (path: string, body: object) => api.post(`${R}/${path}`).set(KEY_HEADER, keys.admin).send(body);
    const before = await query("select id from audit_logs");
    await post("config", { membridge_server_url: "http://127.0.0.1:9", admin_key: "k" }).expect(200);
    await post("workers", { name: "busy", url: "http://127.0.0.1:9" }).expect(201);
    await post("workers/busy/drain", {}).expect(200);
    await post("workers/busy/resume", {}).expect(200);
    const { id } = (await post("llm-tasks", task).expect(201)).body;
    await post(`llm-tasks/${id}/dispatch`, { worker_id: "busy" }).expect(502);
    const { lease } = (await post(`llm-tasks/${id}/lease`, { worker_id: "busy" }).expect(201)).body;
    await post(`llm-tasks/${id}/release`, { lease_id: lease.id }).expect(200);
    await post(`llm-tasks/${id}/lease`, { worker_id: "busy" }).expect(201);
    await post(`llm-tasks/${id}/complete`, { status: "error", metrics: { duration_ms: 1 } }).expect(200);
    await post(`llm-tasks/${id}/requeue`, {}).expect(200);
    await post(`llm-tasks/${id}/cancel`, {}).expect(200);
    await api.delete(`${R}/workers/busy`).set(KEY_HEADER, keys.admin).expect(200);
    const entries = await query(
      "select action from audit_logs where actor = 'key-admin' and id <> all($1) order by timestamp, id",
      [before.map(({ id }) => id)],
    );
    expect(entries.map(({ action }) => action)).toEqual([
      "config_updated",
      "worker_registered",
      "worker_drained",
      "worker_resumed",
      "task_created",
      "task_leased",
      "task_leased",
      "task_released",
      "task_leased",
      "task_completed",
      "task_requeued",
      "task_cancelled",
      "worker_removed",
    ]);
  });

  it("of a worker that waits is who claimed, whoever woke it", async () => {
    const waiting = api
      .post(`${R}/llm-tasks/claim`)
      .set(KEY_HEADER, keys.admin)
      .send({ worker_id: "waiter", wait_seconds: 10 });
    await api.post(`${R}/workers`).set(KEY_HEADER, keys.admin).send({ name: "waiter" }).expect(201);
    const claimed = waiting.then(({ body }) => body.tasks[0]);
    const { id } = (await api.post(`${R}/llm-tasks`).set(KEY_HEADER, keys.submit).send(task).expect(201)).body;
    const { lease } = await claimed;
    expect(lease.task_id).toBe(id);
    expect(await query("select actor from audit_logs where entity_id = $1", [lease.id])).toEqual([
      { actor: "key-admin" },
    ]);
  });

  it("of a worker registers that worker only", async () => {
    const { body } = await api.post(`${R}/workers`).set(KEY_HEADER, keys.work).send({ name: "another" }).expect(403);
    expect(body.error).toBe('The key "key-work" acts for the worker "key-work" only.');
    expect(await query("select 1 from workers where id = 'another'")).toEqual([]);
  });

  it("is stored as its hash only, with the time of its last use, written once a minute", async () => {
    const name = "fresh";
    const key = await createKey(db, undefined, name, "read");
    expect(key).toMatch(/^bloom_[\w-]{43}$/);
    const used = async () => (await listKeys(db)).find((one) => one.name === name)?.last_used_at;
    expect(await used()).toBeNull();
    await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(200);
    const first = await used();
    expect(first).toBeGreaterThan(Date.now() - 60_000);
    await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(200);
    expect(await used()).toBe(first);
    await query("update runtime_api_keys set last_used_at = last_used_at - 61000 where name = $1", [name]);
    await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(200);
    expect(await used()).toBeGreaterThanOrEqual(first ?? 0);
    const stored = JSON.stringify(await query("select * from runtime_api_keys"));
    for (const secret of [key, key.slice(6)]) expect(stored).not.toContain(secret);
  });

  it("opens nothing once it is revoked, and then its name is free", async () => {
    const key = await createKey(db, undefined, "short-lived", "admin");
    await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(200);
    await expect(createKey(db, undefined, "short-lived", "read")).rejects.toThrow(
      '"short-lived" has the role admin; revoke it',
    );
    await revokeKey(db, undefined, "short-lived");
    await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(401);
    await expect(revokeKey(db, undefined, "short-lived")).rejects.toThrow("There is no valid key");
    await createKey(db, undefined, "short-lived", "read");
    const audited = await query("select action, detail from audit_logs where entity_id = 'short-lived' order by id");
    expect(audited.map(({ action }) => action)).toEqual(["key_created", "key_revoked", "key_created"]);
  });

  it("may be one of two of a name while it is changed: a third is refused, and the older one ends first", async () => {
    const old = await createKey(db, undefined, "rotated", "work");
    const [fresh] = await Promise.all([
      createKey(db, undefined, "rotated", "work"),
      api.post(`${R}/workers`).set(KEY_HEADER, old).send({ name: "rotated" }).expect(201),
    ]);
    await expect(createKey(db, undefined, "rotated", "work")).rejects.toThrow(
      'There are two valid keys "rotated" already',
    );
    for (const key of [old, fresh])
      await api.post(`${R}/workers`).set(KEY_HEADER, key).send({ name: "rotated" }).expect(200);
    expect(await revokeKey(db, undefined, "rotated", { older: true })).toBe(1);
    await api.post(`${R}/workers`).set(KEY_HEADER, old).send({ name: "rotated" }).expect(401);
    await api.post(`${R}/workers`).set(KEY_HEADER, fresh).send({ name: "rotated" }).expect(200);
    await expect(revokeKey(db, undefined, "rotated", { older: true })).rejects.toThrow("only one valid key");
    const third = await createKey(db, undefined, "rotated", "work");
    expect(await revokeKey(db, undefined, "rotated")).toBe(2);
    for (const key of [fresh, third]) await api.post(`${R}/workers`).set(KEY_HEADER, key).send({}).expect(401);
  });

  it("that many make at once has at most two of a name", async () => {
    const made = await Promise.allSettled(Array.from({ length: 6 }, () => createKey(db, undefined, "crowd", "read")));
    const count = made.filter(({ status }) => status === "fulfilled").length;
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(2);
    const valid = await query("select 1 from runtime_api_keys where name = 'crowd' and revoked_at is null");
    expect(valid).toHaveLength(count);
  });

  it("that is revoked on another instance ends the claim that waits with it, and gets no task on the way", async () => {
    const name = "evicted";
    const key = await createKey(db, undefined, name, "work");
    const claim = () =>
      api.post(`${R}/llm-tasks/claim`).set(KEY_HEADER, key).send({ worker_id: name, wait_seconds: 20 });
    await aWorker(db, { name, capabilities: { labels: ["evicted"] } });
    // One waits in vain, and the other is woken by a task at once.
    for (const hasTask of [false, true]) {
      if (hasTask) await query("update runtime_api_keys set revoked_at = null where name = $1", [name]);
      const before = claimWaiters.size();
      const waiting = claim().then(({ status, body }) => [status, body.error]);
      await expect.poll(() => claimWaiters.size()).toBe(before + 1);
      await revokeKey(db, undefined, name);
      if (hasTask) await aTask(db, { requires: ["evicted"] });
      expect(await waiting).toEqual([401, "Unauthorized"]);
    }
    expect(await query("select 1 from leases where worker_id = $1", [name])).toEqual([]);
  });

  it("has 200 streams open at most, so that other keys find room, and another one when one has ended", async () => {
    const [key, other] = [
      await createKey(db, undefined, "greedy", "read"),
      await createKey(db, undefined, "modest", "read"),
    ];
    const { task } = await aLeasedTask(db);
    const open = async (shown: string, path: string) => {
      const stop = new AbortController();
      const headers = { [KEY_HEADER]: shown, accept: "text/event-stream" };
      const response = await fetch(url + R + path, { headers, signal: stop.signal });
      // Node.js ends the stream of a response that nothing refers to any more, when it collects garbage.
      return { response, status: response.status, stop: () => stop.abort() };
    };
    const output = `/llm-tasks/${task.id}/stream`;
    const opened = await Promise.all(Array.from({ length: 200 }, (_, n) => open(key, n % 2 ? output : "/events")));
    expect(new Set(opened.map(({ status }) => status))).toEqual(new Set([200]));
    for (const path of [output, "/events"]) {
      expect((await open(key, path)).status).toBe(503);
      const another = await open(other, path);
      expect(another.status).toBe(200);
      another.stop();
    }
    opened[0]?.stop();
    await expect
      .poll(
        async () => {
          const last = await open(key, output);
          opened.push(last);
          return last.status;
        },
        { timeout: 30_000 },
      )
      .toBe(200);
    for (const { stop } of opened) stop();
  });

  it("that is revoked ends the stream of a task's output that it follows, and the stream does not say that the task is over", async () => {
    const key = await createKey(db, undefined, "onlooker", "read");
    const { task: followed } = await aLeasedTask(db);
    const headers = { [KEY_HEADER]: key, accept: "text/event-stream" };
    const stream = await fetch(`${url}${R}/llm-tasks/${followed.id}/stream`, { headers });
    expect(stream.status).toBe(200);
    await revokeKey(db, undefined, "onlooker");
    await expect(stream.text()).rejects.toThrow();
  });

  it.each(["admin", "api", "membridge", "operator", "router", "runtime", "Runtime"])(
    "is not called %s, whom the audit knows as another",
    async (name) => {
      await expect(createKey(db, undefined, name, "read")).rejects.toThrow(
        `The name "${name}" has another meaning in the audit log`,
      );
    },
  );

  it("is not found by a part of it, by its hash, or by SQL", async () => {
    const [{ key_sha256 } = {}] = await query("select key_sha256 from runtime_api_keys where name = 'key-admin'");
    for (const key of [keys.admin.slice(0, -1), `${keys.admin}x`, key_sha256, "bloom_", "bloom_' or '1'='1", "bloom_%"])
      await api.get(`${R}/stats`).set(KEY_HEADER, key).expect(401);
  });

  it("counts also where everything is open", async () => {
    const open = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9" } });
    await open.api.get(`${R}/stats`).expect(200);
    await open.api.get(`${R}/stats`).set(KEY_HEADER, "any").expect(200);
    await open.api.post(`${R}/llm-tasks`).set(KEY_HEADER, keys.read).send(task).expect(403);
  });
});

describe("role escalation: the key of a worker", () => {
  const bodies = { heartbeat: {}, complete: { status: "success", output: "stolen", metrics: { duration_ms: 1 } } };
  const as = (key: string, verb: string, id: string, body: object) =>
    api.post(`${R}/llm-tasks/${id}/${verb}`).set(KEY_HEADER, key).send(body);
  const putOutput = (id: string, headers: Record<string, string> = {}) =>
    api
      .put(`${R}/llm-tasks/${id}/output`)
      .set({ [KEY_HEADER]: keys.work, ...headers })
      .send("stolen");
  /** All that could have been changed of it. */
  const stateOf = (id: string) =>
    query(
      `select t::text, (select json_agg(l order by l.id)::text from leases l where l.task_id = t.id) as leases,
        (select count(*)::int from llm_results r where r.task_id = t.id) as results,
        (select count(*)::int from runtime_staged_outputs s where s.task_id = t.id) as uploads
       from llm_tasks t where t.id = $1`,
      [id],
    );

  it("acts on no task that another worker holds, with a lease id or without, and changes nothing", async () => {
    const { task, lease } = await aLeasedTask(db);
    const before = await stateOf(task.id);
    for (const fence of [{}, { lease_id: lease.id }, { lease_id: lease.id.toUpperCase() }])
      for (const [verb, body] of Object.entries(bodies)) {
        const answer = await as(keys.work, verb, task.id, { ...body, ...fence }).expect(403);
        expect(answer.body.error).toBe('The worker "key-work" of this key does not hold the task.');
      }
    for (const fence of [{ lease_id: lease.id }, { lease_id: lease.id.toUpperCase() }])
      await as(keys.work, "release", task.id, fence).expect(403);
    await putOutput(task.id).expect(403);
    await putOutput(task.id, { "X-Lease-Id": lease.id }).expect(403);
    expect(await stateOf(task.id)).toEqual(before);
    await as(keys.admin, "complete", task.id, bodies.complete).expect(200);
    await as(keys.work, "complete", task.id, bodies.complete).expect(403);
  });

  it("acts on no task that nobody holds, which another might be given at the same moment", async () => {
    const { id } = await aTask(db);
    for (const [verb, body] of Object.entries(bodies)) await as(keys.work, verb, id, body).expect(403);
    await putOutput(id).expect(403);
    const forged = { lease_id: randomUUID() };
    await as(keys.work, "complete", id, { ...bodies.complete, ...forged }).expect(409);
    await as(keys.work, "complete", id, { ...bodies.complete, lease_id: "forged" }).expect(409);
    await as(keys.work, "heartbeat", randomUUID(), {}).expect(404);
  });

  it("reads the inputs of what its worker holds, and of nothing else, whichever lease it names", async () => {
    const own = await aLeasedTask(db, { worker: { name: "key-work" } });
    const other = await aLeasedTask(db);
    const queued = await aTask(db);
    const statusOf = async (id: string, headers: Record<string, string> = {}) =>
      (await api.get(`${R}/llm-tasks/${id}/input/context_hints`).set({ [KEY_HEADER]: keys.work, ...headers })).status;
    for (const id of [other.task.id, queued.id]) {
      expect(await statusOf(id)).toBe(403);
      for (const lease of [own.lease.id, other.lease.id, randomUUID(), "forged"])
        expect(await statusOf(id, { "X-Lease-Id": lease })).toBe(403);
    }
    expect(await statusOf(own.task.id)).toBe(200);
    expect(await statusOf(own.task.id, { "X-Lease-Id": own.lease.id.toUpperCase() })).toBe(200);
    expect(await statusOf(randomUUID(), { "X-Lease-Id": own.lease.id })).toBe(404);
  });

  it("takes no task for another worker, nor for whichever the router chooses", async () => {
    const { id } = await aTask(db);
    const { id: other } = await aWorker(db);
    for (const body of [{}, { worker_id: other }, { worker_id: null }])
      expect((await as(keys.work, "lease", id, body).expect(403)).body.error).toBe(
        'The key "key-work" acts for the worker "key-work" only.',
      );
    await api.post(`${R}/llm-tasks/claim`).set(KEY_HEADER, keys.work).send({ worker_id: other }).expect(403);
    expect(await stateOf(id)).toMatchObject([{ leases: null }]);
  });

  it("does all of a worker's work on its own, with a lease id and without", async () => {
    await aWorker(db, { name: "key-work", capabilities: { max_concurrency: 9 } });
    const leased = async () => {
      const { id } = await aTask(db);
      return (await as(keys.work, "lease", id, { worker_id: "key-work" }).expect(201)).body.lease;
    };
    const { task_id: first } = await leased();
    await as(keys.work, "heartbeat", first, {}).expect(200);
    const { output_id } = (await putOutput(first).expect(201)).body;
    const { output: _, ...uploaded } = bodies.complete;
    await as(keys.work, "complete", first, { ...uploaded, output_id }).expect(200);
    await as(keys.work, "complete", first, { ...uploaded, output_id }).expect(200);
    const { task_id: second, id: lease_id } = await leased();
    await as(keys.work, "heartbeat", second, { lease_id: 5 }).expect(400);
    await as(keys.work, "release", second, {}).expect(400);
    await as(keys.work, "release", second, { lease_id }).expect(200);
    const late = await leased();
    await query("update leases set expires_at = 0 where id = $1", [late.id]);
    await sweepOnce(db);
    await as(keys.work, "complete", late.task_id, { ...bodies.complete, lease_id: late.id }).expect(200);
  });
});

describe("the Worker of docs/operations.md", () => {
  it("lets a visitor create a task and read it by its id, and nothing else", async () => {
    const docs = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
    const script = /```js\n([\s\S]*?)```/.exec(docs)?.[1] ?? "";
    const { default: worker } = await import(`data:text/javascript,${encodeURIComponent(script)}`);
    const env = { BLOOM_RUNTIME_URL: url, BLOOM_RUNTIME_SUBMIT_KEY: keys.submit };
    const visit = async (method: string, path: string, body?: object): Promise<[number, { id: string }]> => {
      const init = {
        method,
        headers: { "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
      };
      const answer: Response = await worker.fetch(
        new Request(`https://garden.example${path}`, { ...init, duplex: "half" } as RequestInit),
        env,
      );
      return [answer.status, (await answer.json()) as { id: string }];
    };
    const [created, { id }] = await visit("POST", `${R}/llm-tasks`, { context_id: "c", agent_slug: "a", prompt: "p" });
    expect(created).toBe(201);
    expect(await visit("GET", `${R}/llm-tasks/${id}`)).toMatchObject([200, { id }]);
    for (const [method, path] of CALLS.filter(
      (call) => call.join() !== `get,${R}/health` && call[1].startsWith("/api/"),
    ))
      if (`${method} ${path}` !== `post ${R}/llm-tasks`)
        expect([path, (await visit(method.toUpperCase(), path, method === "get" ? undefined : {}))[0]]).toEqual([
          path,
          403,
        ]);
  });
});
