import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api, url } = await startApp(db);
const small = await startApp(db, { env: { MAX_OUTPUT_MB: "1" } });
const BYTES = 1_000_000;

type Held = Awaited<ReturnType<typeof aLeasedTask>>;

/** An upload with these headers that has sent its first `sent` bytes; with nothing else said, under the lease and with the main key. */
function begin({ task, lease }: Held, sent: number, headers: object = { "X-Lease-Id": lease.id }, to = url) {
  const socket: Socket = connect(Number(new URL(to).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const all = { Host: "x", Connection: "close", "Content-Length": BYTES, ...headers };
  const lines = Object.entries(all).map(([name, value]) => (value === undefined ? "" : `${name}: ${value}\r\n`));
  socket.write(`PUT /api/runtime/llm-tasks/${task.id}/output HTTP/1.1\r\n${lines.join("")}\r\n`);
  socket.write(Buffer.alloc(sent, "x"));
  const answer = text(socket).catch(() => "");
  return { socket, answer };
}

beforeEach(() => query("truncate runtime_staged_outputs"));

const hasBegun = (uploads: number) =>
  eventually(async () => expect(await query("select 1 from runtime_staged_outputs")).toHaveLength(uploads));

/** The requests that servers of this process take from now on, until the end of the test. */
function collectRequests(): IncomingMessage[] {
  const requests: IncomingMessage[] = [];
  const collect = (message: unknown) => void requests.push((message as { request: IncomingMessage }).request);
  subscribe(TAKEN, collect);
  onTestFinished(() => void unsubscribe(TAKEN, collect));
  return requests;
}
const TAKEN = "http.server.request.start";

const now = performance.now.bind(performance);

/** The process's clock is `ms` ahead until the end of the test. */
function setAhead(ms: number): void {
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
  onTestFinished(() => clock.mockRestore());
}

it.each([
  ["names the lease", undefined],
  ["leaves it to the task", {}],
])("an upload is answered at once when another one replaces it that %s", async (_what, headers) => {
  const held = await aLeasedTask(db);
  const first = begin(held, 1_000);
  await hasBegun(1);
  const second = begin(held, 1_000, headers);
  expect(await first.answer).toMatch(/^HTTP\/1\.1 409 [\s\S]*A later upload under this lease took the place/);
  second.socket.write(Buffer.alloc(BYTES - 1_000, "x"));
  expect(await second.answer).toMatch(/^HTTP\/1\.1 201 /);
});

describe("the connection of an upload that is refused in the middle goes on to the next request", () => {
  const NEXT = "GET /api/runtime/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

  it("when another one replaces it", async () => {
    const held = await aLeasedTask(db);
    const first = begin(held, 1_000, { "X-Lease-Id": held.lease.id, Connection: "keep-alive" });
    await hasBegun(1);
    const refused = once(first.socket, "data");
    begin(held, 1_000);
    await refused;
    first.socket.write(Buffer.alloc(BYTES - 1_000, "x"));
    first.socket.write(NEXT);
    expect(await first.answer).toMatch(/^HTTP\/1\.1 409 [\s\S]*HTTP\/1\.1 200 /);
  });

  it("when it turns out to be too large", async () => {
    const held = await aLeasedTask(db);
    const headers = { "X-Lease-Id": held.lease.id, Connection: "keep-alive", "Transfer-Encoding": "chunked" };
    const { socket, answer } = begin(held, 0, { ...headers, "Content-Length": undefined }, small.url);
    const chunk = `${BYTES.toString(16)}\r\n${"x".repeat(BYTES)}\r\n`;
    const refused = once(socket, "data");
    socket.write(chunk.repeat(10));
    await refused;
    socket.write(`${chunk}0\r\n\r\n${NEXT}`);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*HTTP\/1\.1 200 /);
  });
});

it("an upload that brings less than 256 KB in a minute is cut off, and a slow one goes on", async () => {
  const requests = collectRequests();
  const stopped = begin(await aLeasedTask(db), 250_000);
  const slow = begin(await aLeasedTask(db), 1_000);
  await hasBegun(2);
  // The minute begins when the body is read for the first time.
  await eventually(() => expect(requests.map((each) => each.listenerCount("readable"))).toEqual([1, 1]));
  setAhead(50_000);
  slow.socket.write(Buffer.alloc(300_000, "x"));
  await eventually(async () =>
    expect(
      await query("select 1 from runtime_output_chunks join runtime_staged_outputs s on s.id = output_id"),
    ).toHaveLength(1),
  );
  setAhead(70_000);
  expect(await stopped.answer).toMatch(/^HTTP\/1\.1 408 /);
  slow.socket.write(Buffer.alloc(BYTES - 301_000, "x"));
  expect(await slow.answer).toMatch(/^HTTP\/1\.1 201 /);
});

it("a worker's key uploads 32 outputs at once", async () => {
  const worker = "its-worker";
  const { body } = await api.post("/api/runtime/keys").send({ name: worker, role: "work" }).expect(201);
  const held = await aLeasedTask(db, { worker: { name: worker } });
  const tasks = await Promise.all(Array.from({ length: 33 }, () => aLeasedTask(db)));
  await query("update leases set worker_id = $1", [held.worker.id]);
  const uploads = tasks.map((each) => begin(each, 1, { "X-Runtime-API-Key": body.key, "X-Lease-Id": each.lease.id }));
  const refused = await Promise.race(uploads.map(({ answer }) => answer));
  expect(refused).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 2/);
  await hasBegun(32);
});
