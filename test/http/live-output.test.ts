import { beforeEach, describe, expect, it } from "vitest";
import { cleanLiveOutput } from "../../src/queue/live-output.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { eventBlocks } from "../support/server-sent-events.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
/** Another instance over the same database. */
const other = await startApp(db);
const off = await startApp(db, { env: { LIVE_OUTPUT: "false" } });
const TASKS = "/api/runtime/llm-tasks";
const metrics = { duration_ms: 1 };

beforeEach(() => query("truncate llm_tasks, leases, runtime_live_output"));

const add = (id: string, body: object) => api.post(`${TASKS}/${id}/stream`).send(body);
const read = async (id: string, after = 0) => (await api.get(`${TASKS}/${id}/stream?after=${after}`).expect(200)).body;
const textsOf = ({ pieces }: { pieces: { text: string }[] }) => pieces.map(({ text }) => text);

/** What comes as Server-Sent Events, until it ends or `enough` has come. */
async function follow(base: string, id: string, headers: Record<string, string>, enough = Number.POSITIVE_INFINITY) {
  const stop = new AbortController();
  const response = await fetch(`${base}${TASKS}/${id}/stream`, {
    headers: { accept: "text/event-stream", ...headers },
    signal: stop.signal,
  });
  const events: string[] = [];
  for await (const block of eventBlocks(response)) {
    if (!block.startsWith(":")) events.push(block);
    if (events.length >= enough) break;
  }
  stop.abort();
  return events;
}

describe("what a task prints while it runs", () => {
  it("is there behind a position, each piece once, whichever instance is asked", async () => {
    const { task, lease } = await aLeasedTask(db);
    for (const [seq, text] of ["one", "two", "two", "three"].entries())
      await add(task.id, { seq: Math.min(seq, text === "two" ? 1 : seq), text, lease_id: lease.id }).expect(204);
    const found = await read(task.id);
    expect(textsOf(found)).toEqual(["one", "two", "three"]);
    expect(found).toMatchObject({ task_id: task.id, is_over: false, next: found.pieces[2].position });
    expect(textsOf(await read(task.id, found.pieces[0].position))).toEqual(["two", "three"]);
    const { body } = await other.api.get(`${TASKS}/${task.id}/stream?after=${found.next}`);
    expect([body.pieces, body.next]).toEqual([[], found.next]);
  });

  it("comes from the lease that holds the task alone", async () => {
    const { task, lease } = await aLeasedTask(db);
    await add(task.id, { seq: 0, text: "x", lease_id: "7b0d7a3e-92a9-4a4c-8c2f-1f2f6c1b7d11" }).expect(409);
    await api.post(`${TASKS}/${task.id}/complete`).send({ status: "success", output: "x", metrics }).expect(200);
    await add(task.id, { seq: 0, text: "x", lease_id: lease.id }).expect(409);
    await add("7b0d7a3e-92a9-4a4c-8c2f-1f2f6c1b7d11", { seq: 0, text: "x" }).expect(404);
    expect(await query("select * from runtime_live_output")).toEqual([]);
  });

  it("is bounded: a piece has 64 KB, and the last 256 KB are kept", async () => {
    const { task } = await aLeasedTask(db);
    await add(task.id, { seq: 0, text: "x".repeat(65_537) }).expect(400);
    for (let seq = 0; seq < 8; seq++) await add(task.id, { seq, text: String(seq).repeat(65_536) }).expect(204);
    expect(textsOf(await read(task.id)).map((text) => text[0])).toEqual(["4", "5", "6", "7"]);
  });

  it("is bounded in pieces too: the last 2,000 are kept, however small they are", async () => {
    const { task, lease } = await aLeasedTask(db);
    await query(
      `insert into runtime_live_output (task_id, lease_id, seq, text, bytes, created_at)
        select $1, $2, n, 'x', 1, 1 from generate_series(0, 4999) as n`,
      [task.id, lease.id],
    );
    for (const seq of [5_000, 5_001]) await add(task.id, { seq, text: "y" }).expect(204);
    const [kept] = await query("select count(*)::int as pieces, min(seq), max(seq) from runtime_live_output");
    expect(kept).toEqual({ pieces: 2_000, min: 3_002, max: 5_001 });
  });

  it("may come as a body of text from a shell, whatever its bytes", async () => {
    const { task } = await aLeasedTask(db);
    await api
      .post(`${TASKS}/${task.id}/stream?seq=1`)
      .set("Content-Type", "text/plain")
      .send(Buffer.from([0x61, 0x00, 0xff, 0x62]) as unknown as string)
      .expect(204);
    expect(textsOf(await read(task.id))).toEqual(["a\ufffd\ufffdb"]);
  });

  it("is gone a minute after the task's end", async () => {
    const { task } = await aLeasedTask(db);
    await add(task.id, { seq: 0, text: "x" }).expect(204);
    await api.post(`${TASKS}/${task.id}/complete`).send({ status: "success", output: "x", metrics }).expect(200);
    expect([await cleanLiveOutput(db), (await read(task.id)).is_over]).toEqual([0, true]);
    await query("update llm_tasks set updated_at = updated_at - 61000");
    expect([await cleanLiveOutput(db), textsOf(await read(task.id))]).toEqual([1, []]);
  });

  it("streams as events to those who follow on any instance, and ends with the task; Last-Event-ID goes on", async () => {
    const { task } = await aLeasedTask(db);
    await add(task.id, { seq: 0, text: "one\ntwo" }).expect(204);
    const following = follow(other.url, task.id, {});
    const [first] = await follow(other.url, task.id, {}, 1);
    const id = first?.match(/^id: (\d+)\nevent: output\ndata: (.*)$/);
    expect(JSON.parse(id?.[2] ?? "{}")).toMatchObject({ text: "one\ntwo" });
    await add(task.id, { seq: 1, text: "three" }).expect(204);
    const ahead = follow(other.url, task.id, { "last-event-id": id?.[1] ?? "" });
    const fromStart = follow(other.url, task.id, {});
    await api.post(`${TASKS}/${task.id}/complete`).send({ status: "success", output: "x", metrics }).expect(200);
    expect((await following).map((event) => event.match(/event: (\w+)/)?.[1])).toEqual(["output", "output", "end"]);
    expect([(await ahead).length, (await fromStart).length]).toEqual([2, 3]);
    const later = await follow(other.url, task.id, { "last-event-id": id?.[1] ?? "" });
    expect(later.map((event) => event.includes("three"))).toEqual([true, false]);
    expect(
      (await api.get(`${TASKS}/${task.id}/stream`).set("Accept", "text/event-stream").set("Last-Event-ID", "x")).status,
    ).toBe(400);
  });

  it("can be switched off", async () => {
    const { task } = await aLeasedTask(db);
    const { status, body } = await off.api.post(`${TASKS}/${task.id}/stream`).send({ seq: 0, text: "x" });
    expect([status, body.error]).toEqual([404, "Live output is off on this service (LIVE_OUTPUT=false)."]);
  });
});
