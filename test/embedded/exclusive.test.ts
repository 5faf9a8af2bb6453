import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import {
  freeze,
  gone,
  postmasterOf,
  processesOn,
  query,
  start,
  startService,
  supervisorsOn,
  temporaryFolder,
  usedFolder,
} from "./support.ts";

const refusal = (pid: number, dataDir: string) =>
  `Another BLOOM Runtime (process ${pid}) is already running on ${dataDir}. Stop it, or set DATA_DIR to another folder. For two instances over one database set DATABASE_URL; for more processes of one instance, INSTANCES.`;

test("a second service on the same folder is refused at once, and the first one does not notice", async () => {
  const dataDir = await usedFolder();
  const { url } = await start(dataDir);
  const postmaster = postmasterOf(dataDir);
  const askedAt = performance.now();
  await expect(start(dataDir)).rejects.toThrow(refusal(process.pid, dataDir));
  expect(performance.now() - askedAt).toBeLessThan(10_000);
  expect(await startService(dataDir).next()).toEqual({ refused: refusal(process.pid, dataDir), clear: true });
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  expect(postmasterOf(dataDir)).toBe(postmaster);
});

test("of services that start at the same moment exactly one wins, on an empty folder and on a used one", async () => {
  const dataDir = await temporaryFolder();
  for (let round = 0; round < 2; round++) {
    const services = [startService(dataDir), startService(dataDir), startService(dataDir)];
    const answers = await Promise.all(services.map((service) => service.next()));
    const winner = answers.findIndex(({ url }) => url !== undefined);
    const sentence = refusal(services[winner]?.pid ?? 0, dataDir);
    for (const [index, answer] of answers.entries()) {
      if (index !== winner) expect(answer).toEqual({ refused: sentence, clear: true });
    }
    expect(await query(answers[winner]?.url, "select 1 as n")).toEqual([{ n: 1 }]);
    await Promise.all(services.map((service) => service.stop()));
  }
});

test("a PostgreSQL without its service and supervisor is replaced, with its data", async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  const { url } = await service.next();
  await query(url, "create table kept as select 1 as n");
  const orphan = postmasterOf(dataDir);
  const shells = supervisorsOn(dataDir);
  // Stopped first: the end of one would let the other still shut PostgreSQL down.
  for (const signal of ["SIGSTOP", "SIGKILL"]) for (const pid of shells) process.kill(pid, signal);
  await service.kill();
  expect(await query(url, "select n from kept")).toEqual([{ n: 1 }]);

  const { url: again } = await start(dataDir);
  expect(await query(again, "select n from kept")).toEqual([{ n: 1 }]);
  expect(processesOn(dataDir).map(({ pid }) => pid)).not.toContain(orphan);
});

test("a PostgreSQL that was stopped with SIGSTOP before its service was killed is woken and replaced, with its data", {
  timeout: 25_000,
}, async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  const { url } = await service.next();
  await query(url, "create table kept as select 1 as n");
  const old = [postmasterOf(dataDir), ...supervisorsOn(dataDir)];
  freeze(dataDir);
  await service.kill();

  const { url: again } = await start(dataDir);
  expect(await query(again, "select n from kept")).toEqual([{ n: 1 }]);
  await eventually(() => expect(processesOn(dataDir).filter(({ pid }) => old.includes(pid))).toEqual([]));
});

test("supervisors that were stopped alone end with the PostgreSQL that they watch", { timeout: 25_000 }, async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  await service.next();
  const old = [postmasterOf(dataDir), ...supervisorsOn(dataDir)];
  for (const pid of supervisorsOn(dataDir)) process.kill(pid, "SIGSTOP");
  await service.kill();

  await start(dataDir);
  await eventually(() => expect(processesOn(dataDir).filter(({ pid }) => old.includes(pid))).toEqual([]));
});

test("a service that starts while PostgreSQL still shuts down for another waits for it", async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  await service.next();
  const ended = service.kill();
  const { url } = await start(dataDir).catch(async () => {
    // Asked before the kill had come through: that was the other one's right.
    await ended;
    return start(dataDir);
  });
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
});

test("a stale postmaster.pid does not stop the start, whoever has the process number now", async () => {
  const dataDir = await usedFolder();
  const pidFile = join(dataDir, "postgres", "postmaster.pid");
  const first = await start(dataDir);
  const left = await readFile(pidFile, "utf8");
  await first.stop();
  const { uid, gid } = await stat(join(dataDir, "postgres"));
  const stranger = spawn("sleep", ["600"], { uid, gid, cwd: "/" });
  onTestFinished(() => void stranger.kill());
  await once(stranger, "spawn");

  const elsewhere = await temporaryFolder();
  await cp(dataDir, elsewhere, { recursive: true });
  const neighbour = await start(elsewhere);
  const contents = [
    left,
    left.replace(/^\d+/, String(stranger.pid)),
    await readFile(join(elsewhere, "postgres", "postmaster.pid"), "utf8"),
    "",
  ];
  for (const content of contents) {
    await writeFile(pidFile, content);
    const { url, stop } = await start(dataDir);
    expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
    await stop();
    await gone(dataDir);
  }
  expect(await query(neighbour.url, "select 1 as n")).toEqual([{ n: 1 }]);
  expect(stranger.exitCode).toBeNull();
});
