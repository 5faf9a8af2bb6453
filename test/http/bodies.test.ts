/** Bodies that are legal and would cost far more than they should, and how many large ones are taken at a time. */
import { EventEmitter } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import type { Response } from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { excessIn } from "../../src/bounded-json.ts";
import { createBodyBudget } from "../../src/http/body-budget.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { CALLS } from "../support/every-call.ts";

const { db } = await createTestDatabase();
const { api, url } = await startApp(db, { env: { MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", MAX_BODY_MB: "16" } });
const TASKS = "/api/runtime/llm-tasks";
const MB = 1024 * 1024;
const keys = (count: number) => `{${Array.from({ length: count }, (_, n) => `"${n}":1`)}}`;
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("the shape of a body", () => {
  it.each([
    ["more levels than 100", nested(101), "nested deeper than 100 levels"],
    ["levels that never end", "[".repeat(MB), "nested deeper than 100 levels"],
    ["levels behind a quote that ends no string", `["\\"]",${nested(100)}]`, "nested deeper than 100 levels"],
    ["levels behind a backslash at a string's end", `["\\\\",${nested(100)}]`, "nested deeper than 100 levels"],
    ["more keys than 10,000", keys(10_001), "more than 10000 keys"],
    ["more values than 100,000", `[${"1,".repeat(100_000)}1]`, "more than 100000 values"],
  ])("%s are refused before it is parsed", async (_what, body, why) => {
    const { body: answer } = await api.post(TASKS).type("json").send(body).expect(400);
    expect(answer.error).toContain(why);
  });

  it.each([
    ["100 levels", nested(100)],
    ["many lists beside each other", `[${nested(99)},${nested(99)}]`],
    ["10,000 keys and 100,000 values", `[${keys(10_000)}${",1".repeat(90_000)}]`],
    ["brackets, colons and commas in strings", JSON.stringify({ prompt: '[{":,\\'.repeat(200_000), b: '\\"' })],
  ])("%s are allowed", (_what, body) => {
    expect(excessIn(Buffer.from(body))).toBeUndefined();
    JSON.parse(body);
  });

  it("is looked at in UTF-8 alone", async () => {
    const { body } = await api
      .post(TASKS)
      .set("Content-Type", "application/json; charset=utf-16")
      .send("{}")
      .expect(415);
    expect(body.error).toContain("UTF-8");
  });
});

it("no call but those with a prompt or an output takes more than 100 KB", async () => {
  const isLong = (path: string) => path === TASKS || /\/(complete|replay|bulk|mcp)$/.test(path);
  for (const [method, path] of CALLS) {
    if (method !== "post" || isLong(path)) continue;
    const { status, body } = await api.post(path).send({ reason: "x".repeat(100 * 1024) });
    expect([path, status, body.error]).toEqual([path, 413, "The body is too large: this call takes 100 KB at most."]);
  }
  await api
    .post(TASKS)
    .send({ context_id: "c", agent_slug: "a", prompt: "x".repeat(MB) })
    .expect(201);
});

describe("large bodies", () => {
  /** A body of `bytes`, which is begun and not ended. */
  function begin(bytes: number) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write(
      `POST ${TASKS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n{`,
    );
    return socket;
  }

  const response = () => Object.assign(new EventEmitter(), { req: { complete: true } }) as unknown as Response;

  it("that come slowly give way to those of others", async () => {
    const slow = Array.from({ length: 4 }, () => begin(2 * MB));
    onTestFinished(() => slow.forEach((socket) => void socket.destroy()));
    const refused = slow.map((socket) => text(socket));
    await Promise.all(slow.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    await api.get("/api/runtime/health").expect(200);
    await api
      .post(TASKS)
      .send({ context_id: "c", agent_slug: "a", prompt: "x".repeat(MB) })
      .expect(201);
    expect(await Promise.race(refused)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("leave their room when their answer is written, whether it is read or not", async () => {
    const budget = createBodyBudget(MB, 60_000);
    const unread = response();
    await budget.reserve(20 * MB, unread);
    const waiting = budget.reserve(20 * MB, response());
    unread.emit("prefinish");
    await waiting;
    // The room is given back once.
    unread.emit("close");
    const late = response();
    const next = budget.reserve(3 * MB, late);
    late.emit("close");
    await expect(next).rejects.toMatchObject({ status: 503 });
  });

  it("wait while others take the 20 MB that there are for them, and short ones do not", async () => {
    const others = [begin(10 * MB), begin(10 * MB)];
    await Promise.all(others.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    await api.get("/api/runtime/health").expect(200);
    let isAnswered = false;
    const answer = api
      .post(TASKS)
      .send({ prompt: "x".repeat(3 * MB) })
      .then(({ status }) => {
        isAnswered = true;
        return status;
      });
    for (const prompt of ["p", "x".repeat(MB)])
      await api.post(TASKS).send({ context_id: "c", agent_slug: "a", prompt }).expect(201);
    await api.get("/api/runtime/health").expect(200);
    expect(isAnswered).toBe(false);
    others[0]?.destroy();
    expect(await answer).toBe(400);
    others[1]?.destroy();
  });

  it("are refused with 503 when none ends in time, and leave room for the next", async () => {
    const budget = createBodyBudget(MB, 50);
    const [first, second, third] = [response(), response(), response()];
    await budget.reserve(12 * MB, first);
    const tooLarge = budget.reserve(12 * MB, second);
    const behind = budget.reserve(8 * MB, third);
    await expect(tooLarge).rejects.toMatchObject({ status: 503 });
    await behind;
    for (const each of [first, second, third]) each.emit("close");
    await budget.reserve(20 * MB, response());
  });

  it("of clients that have gone are not waited for", async () => {
    const budget = createBodyBudget(MB, 60_000);
    const [first, second] = [response(), response()];
    await budget.reserve(20 * MB, first);
    const waiting = budget.reserve(3 * MB, second);
    second.emit("close");
    await expect(waiting).rejects.toMatchObject({ status: 503 });
  });
});
