import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { argumentsOf, ROOT } from "./support/compiled-programs.ts";
import { createTestDatabase } from "./support/database.ts";
import { eventually } from "./support/eventually.ts";
import { launch } from "./support/spawn-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const { url: DATABASE_URL } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-log-");
const settings = { DATABASE_URL, DATA_DIR, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9", RATE_LIMIT_PER_MINUTE: "0" };

/** Each request writes about 8 KB to the log: its path. */
async function callManyTimes(port: string, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const { status } = await fetch(`http://127.0.0.1:${port}/api/runtime/${"x".repeat(8_000)}`);
    expect(status).toBe(404);
  }
}

async function startToBeEnded() {
  const service = launch(settings);
  onTestFinished(() => service.kill("SIGKILL"));
  return { service, port: await service.listening };
}

it("a log whose reader has gone neither stops the service nor keeps it from ending", async () => {
  const { service, port } = await startToBeEnded();
  service.stdout.destroy();
  await callManyTimes(port, 5);
  service.kill("SIGTERM");
  expect(await service.exited).toBe(0);
});

it("a log whose reader has stopped reading neither stops the service nor keeps it from ending", async () => {
  const { service, port } = await startToBeEnded();
  service.stdout.pause();
  // 1.6 MB: more than the pipe holds, and more than the service keeps.
  await callManyTimes(port, 200);
  service.kill("SIGTERM");
  await eventually(() => expect(() => process.kill(service.pid, 0)).toThrow("ESRCH"));
  service.stdout.resume();
  expect(await service.exited).toBe(0);
});

it("a log on a full disk does not stop the service, goes on when there is room, and does not keep it from ending", async () => {
  const log = join(DATA_DIR, "log");
  await writeFile(log, "");
  // A limit on a file's size, which its writer hears of as it does of a full disk; this needs no disk of its own.
  const start = `ulimit -f 64; exec "$0" "$@" >> "${log}"`;
  const child = spawn("sh", ["-c", start, process.execPath, ...argumentsOf("start")], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? "", BLOOM_RUNTIME_PORT: "0", ...settings },
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const port = await vi.waitUntil(async () => (await readFile(log, "utf8")).match(/"port":(\d+)/)?.[1], 10_000);
  await callManyTimes(port, 200);
  await eventually(() => expect(complaints).toMatch(/^The log cannot be written: EFBIG.*\n$/));
  await truncate(log);
  await eventually(async () => expect(await readFile(log, "utf8")).toContain('"msg":"request"'));
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});
