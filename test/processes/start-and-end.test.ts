/** How a service of several processes starts, and how it ends at once. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { isAlive } from "../support/is-alive.ts";
import { runToExit, startProcess } from "../support/service-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { KEY } from "./calls.ts";

const { url: DATABASE_URL } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-processes-");

const MEMBRIDGE_SERVER_URL = "http://127.0.0.1:9";
const settings = { INSTANCES: "2", DATABASE_URL, DATA_DIR, RUNTIME_API_KEY: KEY, MEMBRIDGE_SERVER_URL };

it("has no secret in the environment of its processes; asked a second time to end, all end at once", async () => {
  const service = await startProcess({ ...settings, DRAIN_SECONDS: "300" });
  await eventually(async () => {
    await fetch(`${service.url}/api/runtime/health`);
    expect(pidsIn(service.output()).size).toBe(2);
  });
  const pids = [...pidsIn(service.output())];
  if (process.platform === "linux")
    for (const pid of pids) {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      expect([environment.includes(KEY), environment.includes(DATABASE_URL)]).toEqual([false, false]);
    }
  const ended = service.stop("SIGTERM");
  await eventually(async () => expect((await fetch(`${service.url}/readyz`)).status).toBe(503));
  // What a terminal sends to all of its processes means nothing to those that serve.
  for (const pid of pids) process.kill(pid, "SIGINT");
  await fetch(`${service.url}/livez`);
  expect(pids.map(isAlive)).toEqual([true, true]);
  const askedAt = performance.now();
  await service.stop("SIGINT");
  expect([await ended, performance.now() - askedAt < 2_000]).toEqual([1, true]);
  await eventually(() => expect(pids.map(isAlive)).toEqual([false, false]));
});

it("ends with its first process, also when that is killed", async () => {
  const service = await startProcess(settings);
  await eventually(async () => {
    await fetch(`${service.url}/api/runtime/health`);
    expect(pidsIn(service.output()).size).toBe(2);
  });
  await service.stop("SIGKILL");
  await eventually(() => expect([...pidsIn(service.output())].map(isAlive)).toEqual([false, false]));
});

it("ends although one of its processes hangs", async () => {
  const service = await startProcess(settings);
  await eventually(async () => {
    await fetch(`${service.url}/api/runtime/health`);
    expect(pidsIn(service.output()).size).toBe(2);
  });
  const pids = [...pidsIn(service.output())];
  process.kill(pids[0] ?? Number.NaN, "SIGSTOP");
  expect(await service.stop("SIGTERM")).toBe(0);
  await eventually(() => expect(pids.map(isAlive)).toEqual([false, false]));
}, 40_000);

it("says once and in one sentence that its port is in use, or that its database cannot be reached", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, resolve));
  const { port } = other.address() as AddressInfo;
  const inUse = await runToExit({ ...settings, BLOOM_RUNTIME_PORT: String(port), LOG_LEVEL: "error" });
  other.close();
  const sentence = `Port ${port} is in use. Stop the program that uses it, or set BLOOM_RUNTIME_PORT to another.\n`;
  expect(inUse).toEqual({ code: 1, output: sentence });
  const away = await runToExit({ ...settings, DATABASE_URL: "postgresql://user:secret@127.0.0.1:9/db" });
  expect(away.code).toBe(1);
  expect(away.output).toMatch(/^The database at DATABASE_URL cannot be reached: .*\n$/);
});

function pidsIn(log: string): Set<number> {
  return new Set([...log.matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid)));
}
