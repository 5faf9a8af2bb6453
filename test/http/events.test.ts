import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Event } from "../../src/contract/event-record.ts";
import { TYPE_OF_ACTION } from "../../src/db/audit-actions.ts";
import { enterEvents, readEvents } from "../../src/events/read-events.ts";
import { openEventStream } from "../../src/http/sse-answer.ts";
import { createKey, revokeKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { workerEntry } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, aTask } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { eventBlocks } from "../support/server-sent-events.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: "the-main-key-of-the-tests" };
const one = await startApp(db, { env });
/** Another instance over the same database. */
const two = await startApp(db, { env });
const EVENTS = "/api/runtime/events";

/** A stream that collects its events. */
async function listen(base: string, { path = EVENTS, last = "", key = env.RUNTIME_API_KEY } = {}) {
  const stop = new AbortController();
  const response = await fetch(base + path, {
    headers: { accept: "text/event-stream", "x-runtime-api-key": key, ...(last && { "last-event-id": last }) },
    signal: stop.signal,
  });
  const events: { type: string; id: string; data: Event }[] = [];
  const ended = (async () => {
    for await (const block of eventBlocks(response)) {
      const [, id = "", type = "", data = ""] = block.match(/^id: (.*)\nevent: (.*)\ndata: (.*)$/) ?? [];
      if (type) events.push({ id, type, data: JSON.parse(data) });
    }
  })().catch(() => {});
  return { status: response.status, events, ended, stop: () => stop.abort() };
}

const until = (check: () => void) => eventually(check, { interval: 20 });

beforeEach(() => query("truncate llm_tasks, leases, workers"));

describe("events", () => {
  it("tell a task's life on all instances, each in one word", async () => {
    const listeners = await Promise.all([listen(one.url), listen(two.url)]);
    const { task } = await aLeasedTask(db);
    const done = { status: "error", error_message: "x", metrics: { duration_ms: 1 } };
    const path = `/api/runtime/llm-tasks/${task.id}/complete`;
    await one.api.post(path).set("X-Runtime-API-Key", env.RUNTIME_API_KEY).send(done).expect(200);
    for (const { events, stop } of listeners) {
      const types = () => events.filter(({ data }) => data.task_id === task.id).map(({ type }) => type);
      await until(() => expect(types()).toEqual(["task.created", "task.leased", "task.failed"]));
      stop();
    }
  });

  it("come without a gap and without a double while transactions commit in any order, and to those who come again", async () => {
    const listeners = await Promise.all([listen(one.url), listen(two.url)]);
    const names = Array.from({ length: 60 }, (_, n) => `mixed-${n}`);
    await Promise.all(
      names.map((name, n) =>
        db.transaction(async (tx) => {
          await tx.execute(workerEntry(name));
          await tx.execute(`select pg_sleep(${((n * 7) % 11) / 40})`);
        }),
      ),
    );
    const told: string[][] = [];
    for (const { events, stop } of listeners) {
      const ours = () => events.map(({ data }) => data.entity_id).filter((name) => name?.startsWith("mixed-"));
      await until(() => expect(ours().toSorted()).toEqual(names.toSorted()));
      told.push(ours());
      stop();
    }
    expect(told[0]).toEqual(told[1]);
    const half = listeners[0]?.events[30];
    const again = await listen(two.url, { last: half?.id ?? "" });
    const rest = listeners[0]?.events.slice(31).map(({ id }) => id) ?? [];
    await until(() => expect(again.events.map(({ id }) => id).slice(0, rest.length)).toEqual(rest));
    again.stop();
  });

  it("wait for a transaction that took its number before", async () => {
    const stream = await listen(one.url);
    const commitSlow = await holdTransaction(db, workerEntry("slow"));
    await query(workerEntry("quick"));
    const { now } = await enterEvents(db);
    const { events } = await readEvents(db, { ...now, xid: 0, seq: 0 });
    expect(events.map(({ event }) => event.entity_id)).not.toContain("quick");
    await commitSlow();
    await until(() => expect(stream.events.map(({ data }) => data.entity_id)).toEqual(["slow", "quick"]));
    stream.stop();
  });

  it("are chosen by type and task; nonsense is 400", async () => {
    const { id } = await aTask(db);
    const { body } = await one.api.get(`${EVENTS}?after=0.0`).set("X-Runtime-API-Key", env.RUNTIME_API_KEY);
    expect(body.reset).toBe(true);
    const from = `${body.next}`;
    const chosen = await listen(one.url, { path: `${EVENTS}?types=task.*&task_id=${id}`, last: from });
    await aTask(db);
    const path = `/api/runtime/llm-tasks/${id}/cancel`;
    await one.api.post(path).set("X-Runtime-API-Key", env.RUNTIME_API_KEY).send({}).expect(200);
    await until(() => expect(chosen.events.at(-1)?.type).toBe("task.cancelled"));
    expect(new Set(chosen.events.filter(({ type }) => type !== "reset").map(({ data }) => data.task_id))).toEqual(
      new Set([id]),
    );
    chosen.stop();
    for (const wrong of ["?types=nothing", "?task_id=x", "?after=x"])
      expect((await listen(one.url, { path: EVENTS + wrong })).status).toBe(400);
  });

  it("say `reset` to a client whose place is of another server, or is gone", async () => {
    const stream = await listen(one.url, { last: "999999999999.1" });
    await until(() => expect(stream.events[0]?.type).toBe("reset"));
    await query(workerEntry("after-reset"));
    await until(() => expect(stream.events.at(-1)?.data.entity_id).toBe("after-reset"));
    stream.stop();
  });

  it("go on behind the last one when the instance is started anew, and what was missed comes first", async () => {
    const before = await startApp(db, { env });
    const stream = await listen(before.url);
    await query(workerEntry("before-the-restart"));
    await until(() => expect(stream.events.at(-1)?.data.entity_id).toBe("before-the-restart"));
    before.eventHub.close();
    await stream.ended;
    await query(workerEntry("while-it-was-away"));
    const after = await startApp(db, { env });
    const again = await listen(after.url, { last: stream.events.at(-1)?.id ?? "" });
    await query(workerEntry("after-the-restart"));
    const names = () => again.events.map(({ data }) => data.entity_id);
    await until(() => expect(names()).toEqual(["while-it-was-away", "after-the-restart"]));
    again.stop();
  });

  it("go on for a client whose stream was lost before its first event", async () => {
    const headers = { accept: "text/event-stream", "x-runtime-api-key": env.RUNTIME_API_KEY };
    const { body } = await fetch(one.url + EVENTS, { headers });
    const reader = body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    await reader?.cancel();
    await query(workerEntry("while-nobody-listened"));
    const again = await listen(two.url, { last: first.match(/^id: (.*)$/m)?.[1] ?? "" });
    await until(() => expect(again.events.map(({ data }) => data.entity_id)).toEqual(["while-nobody-listened"]));
    again.stop();
  });

  it("are looked for again when the database could not be asked, and the log says so once", async () => {
    const warn = vi.spyOn(db.log, "warn");
    const stop = new AbortController();
    const hub = one.eventHub;
    const taken: string[] = [];
    const take = (events: Event[]) => void taken.push(...events.map(({ entity_id }) => entity_id));
    const { now } = await enterEvents(db);
    const run = vi.spyOn(db, "run").mockRejectedValue(new Error("the database is away"));
    const listener = { after: { ...now, xid: 0, seq: 0 }, wants: () => true, take, reset() {}, isFull: () => false };
    const following = hub.follow(listener, stop.signal);
    await until(() => expect(run.mock.calls.length).toBeGreaterThan(4));
    expect(warn.mock.calls.filter(([, said]) => said?.includes("event"))).toHaveLength(2);
    run.mockRestore();
    await query(workerEntry("after-the-outage"));
    await until(() => expect(taken).toContain("after-the-outage"));
    stop.abort();
    await following;
    warn.mockRestore();
  });

  it("obey the roles, and end when the key is revoked", async () => {
    expect((await listen(one.url, { key: await createKey(db, undefined, "w", "work") })).status).toBe(403);
    const stream = await listen(one.url, { key: await createKey(db, undefined, "r", "read") });
    await revokeKey(db, undefined, "r");
    await stream.ended;
    expect(stream.status).toBe(200);
  });

  it("reach 500 listeners with one query for all", async () => {
    const listeners = await Promise.all(Array.from({ length: 500 }, () => listen(one.url)));
    await query(workerEntry("to-all"));
    await until(() => {
      for (const { events } of listeners) expect(events.at(-1)?.data.entity_id).toBe("to-all");
    });
    for (const { stop } of listeners) stop();
    await until(() => expect(one.eventHub.size()).toBe(0));
  });
});

it("a stream whose client takes nothing is cut off", async () => {
  const closed = vi.fn();
  const server = createServer((_request, response) => {
    response.once("close", closed);
    const stream = openEventStream(response, () => "1", 100);
    stream.send([{ event: "x", data: "x".repeat(900_000) }]);
    const more = setInterval(() => !stream.isFull() && stream.send([{ event: "x", data: "x".repeat(900_000) }]), 20);
    response.once("close", () => clearInterval(more));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  afterAll(() => socket.destroy());
  await until(() => expect(closed).toHaveBeenCalled());
  server.close();
});

it("every name is written as a kind of thing and what became of it", () => {
  for (const type of Object.values(TYPE_OF_ACTION)) expect(type).toMatch(/^[a-z]+\.[a-z_]+$/);
});
