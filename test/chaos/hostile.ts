/** Bodies that are meant to stop the service: each is legal HTTP, and none may cost more than an answer of the 4xx kind. */
import { createConnection } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Journal } from "./callers.ts";
import type { Random } from "./random.ts";

const MB = 1024 * 1024;
/** Three at once, as from one who means it. */
const AT_ONCE = 3;
const DRIP_EVERY_MS = 200;
const ANSWERED_WITHIN_MS = 30_000;

const BODIES: Record<string, () => string> = {
  "deep nesting": () => "[".repeat(9 * MB),
  "nesting within a field": () => `{"prompt": ${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`,
  "many keys": () => `{${Array.from({ length: 500_000 }, (_, n) => `"key${n}":${n}`).join(",")}}`,
  "a long list": () => `{"context_hints": [${"0,".repeat(4 * MB)}0]}`,
  "more than is taken": () => `{"prompt": "${"x".repeat(12 * MB)}"}`,
  "half of an object": () => `{"prompt": "${"x".repeat(MB)}`,
};

/** Sends one kind of them to the instance at `url`; a drip goes on for `ms`. */
export async function sendHostileBody(url: string, ms: number, random: Random, journal: Journal): Promise<void> {
  const kind = random.pick(["dripping", ...Object.keys(BODIES)]);
  const body = BODIES[kind]?.();
  if (body === undefined) return drip(url, ms);
  const path = random.pick(["/llm-tasks", "/workers", "/llm-tasks/claim"]);
  const post = async () => {
    const signal = AbortSignal.timeout(ANSWERED_WITHIN_MS);
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/api/runtime${path}`, { method: "POST", headers, body, signal });
    await response.arrayBuffer();
    return response.status;
  };
  // A connection that is cut is no answer: the instance may be down, and after a refusal the rest of a body is not read.
  const statuses = await Promise.all(Array.from({ length: AT_ONCE }, () => post().catch(() => undefined)));
  for (const status of statuses)
    if (status !== undefined && status !== 503 && (status < 400 || status >= 500))
      journal.wrong.push(`a body with ${kind} was answered ${status} by ${path}`);
}

/** A body that comes byte by byte, on ten connections. */
async function drip(url: string, ms: number): Promise<void> {
  const { hostname, port } = new URL(url);
  const sockets = Array.from({ length: 10 }, () => {
    const socket = createConnection({ host: hostname, port: Number(port) });
    socket.on("error", () => {});
    socket.resume();
    socket.write(
      `POST /api/runtime/llm-tasks HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`,
    );
    return socket;
  });
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt) {
    for (const socket of sockets) if (socket.writable) socket.write(" ");
    await delay(DRIP_EVERY_MS);
  }
  for (const socket of sockets) socket.destroy();
}
