/** Calls of a service of several processes, and which of them answered. */
import { randomUUID } from "node:crypto";
import { request } from "undici";
import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { parseMetrics } from "../support/parse-metrics.ts";
import type { ServiceProcess } from "../support/service-process.ts";

export const KEY = "a-key-that-no-process-shows";
export const newTask = { context_id: "c", agent_slug: "a", prompt: "p" };

/** The lines of the log that are whole; a torn one is no JSON. */
export const linesOf = (service: ServiceProcess) =>
  service
    .output()
    .split("\n")
    .slice(0, -1)
    .map((line): { pid?: number; requestId?: string; msg?: string; endedPid?: number } => JSON.parse(line));

/** The processes that answered the requests with these ids. */
export async function servedBy(service: ServiceProcess, requestIds: string[]): Promise<Set<number | undefined>> {
  return eventually(() => {
    const lines = linesOf(service).filter(({ requestId }) => requestIds.includes(requestId ?? ""));
    expect(lines).toHaveLength(requestIds.length);
    return new Set(lines.map(({ pid }) => pid));
  });
}

/** Calls on a connection of its own, which goes to the next process. */
export async function call<Answer>(
  service: ServiceProcess,
  path: string,
  body?: object,
  requestId: string = randomUUID(),
) {
  const {
    statusCode,
    headers,
    body: answer,
  } = await request(`${service.url}${path}`, {
    method: body ? "POST" : "GET",
    headers: { "x-runtime-api-key": KEY, "x-request-id": requestId, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
    reset: true,
  });
  const text = await answer.text();
  return { status: statusCode, headers, requestId, text, json: () => JSON.parse(text) as Answer };
}
export const R = "/api/runtime";
export const create = (service: ServiceProcess) => call<{ id: string }>(service, `${R}/llm-tasks`, newTask);
export const times = <T>(count: number, work: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)));

export async function scrape(service: ServiceProcess): Promise<Map<string, number>> {
  return parseMetrics((await call(service, "/metrics")).text);
}
