import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import {
  childrenOf,
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

test("what was written is there after a clean stop and a new start", async () => {
  const dataDir = join(await temporaryFolder(), "deep", ".data");
  const first = await start(dataDir);
  await query(first.url, "create table kept as select 'Grüße' as word");
  expect(
    await query(first.url, "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit')"),
  ).toEqual([
    { name: "fsync", setting: "on" },
    { name: "synchronous_commit", setting: "on" },
  ]);
  expect(
    await query(first.url, "select pg_encoding_to_char(encoding) as encoding from pg_database where datname = 'bloom'"),
  ).toEqual([{ encoding: "UTF8" }]);
  await Promise.all([first.stop(), first.stop()]);
  expect(processesOn(dataDir)).toEqual([]);

  const second = await start(dataDir);
  expect(await query(second.url, "select word from kept")).toEqual([{ word: "Grüße" }]);
  expect((await stat(join(dataDir, "postgres", "bloom-password"))).mode & 0o777).toBe(0o600);
});

test("PostgreSQL ends by itself when the service is killed, and loses nothing", async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  const { url } = await service.next();
  await query(url, "create table kept as select 1 as n");
  await service.kill();
  await gone(dataDir);
  const { url: again } = await start(dataDir);
  expect(await query(again, "select n from kept")).toEqual([{ n: 1 }]);
});

test("a service killed while it makes the database leaves nothing that stands in the way", async () => {
  const dataDir = await temporaryFolder();
  const service = startService(dataDir);
  const makers = () => processesOn(dataDir).filter(({ command }) => command.includes("initdb"));
  await eventually(() => expect(makers()).not.toEqual([]));
  await service.kill();
  const { url, stop } = await start(dataDir);
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  await stop();

  await eventually(() => expect(makers()).toEqual([]));
  await start(dataDir);
  expect((await readdir(dataDir)).sort()).toEqual(["postgres", "postgres.log"]);
});

test("the terminal's Ctrl-C reaches the service, not PostgreSQL", async () => {
  const dataDir = await usedFolder();
  const service = startService(dataDir);
  const { url } = await service.next();
  process.kill(-service.pid, "SIGINT");
  expect(await service.next()).toEqual({ interrupted: true });
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  await service.stop();
  await gone(dataDir);
});

test("a PostgreSQL that was killed comes back at the same address, as often as it takes", async () => {
  const dataDir = await usedFolder();
  const { url } = await start(dataDir);
  await query(url, "create table kept as select 1 as n");
  for (let times = 0; times < 2; times++) {
    const killed = postmasterOf(dataDir);
    process.kill(killed, "SIGKILL");
    await eventually(() => expect(postmasterOf(dataDir)).not.toBe(killed));
    expect(await eventually(() => query(url, "select n from kept"))).toEqual([{ n: 1 }]);
  }
  expect((await startService(dataDir).next()).refused).toMatch(/^Another BLOOM Runtime/);
});

test("stop wakes a PostgreSQL that somebody has stopped with SIGSTOP, its children and its supervisor", {
  timeout: 25_000,
}, async () => {
  const dataDir = await usedFolder();
  const { url, wake, stop } = await start(dataDir);
  expect(supervisorsOn(dataDir)).toHaveLength(2);
  expect(childrenOf(postmasterOf(dataDir)).length).toBeGreaterThan(2);
  freeze(dataDir);
  await wake();
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  freeze(dataDir);
  await stop();
  expect(processesOn(dataDir)).toEqual([]);
});

test("stop wakes a supervisor that was stopped alone", { timeout: 25_000 }, async () => {
  const dataDir = await usedFolder();
  const { stop } = await start(dataDir);
  for (const pid of supervisorsOn(dataDir)) process.kill(pid, "SIGSTOP");
  await stop();
  expect(processesOn(dataDir)).toEqual([]);
});

test("stop ends PostgreSQL without the shell that watches for the service's end", { timeout: 25_000 }, async () => {
  const dataDir = await usedFolder();
  const { stop } = await start(dataDir);
  const supervisors = supervisorsOn(dataDir);
  const watchers = supervisors.flatMap(childrenOf).filter((pid) => supervisors.includes(pid));
  expect(watchers).toHaveLength(1);
  for (const pid of watchers) process.kill(pid, "SIGKILL");
  await stop();
  expect(processesOn(dataDir)).toEqual([]);
});

test("the crash of one of PostgreSQL's children does not cost the ownership", async () => {
  const dataDir = await usedFolder();
  const { url } = await start(dataDir);
  const postmaster = postmasterOf(dataDir);
  await query(url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%owner%'");
  const owners = "select from pg_locks where locktype = 'advisory' and granted";
  await eventually(async () => expect(await query(url, owners)).toHaveLength(1));
  const [backend] = await query(url, "select pid from pg_stat_activity where application_name like '%owner%'");
  process.kill(backend?.pid, "SIGKILL");
  await eventually(async () => expect(await query(url, owners)).toHaveLength(1));
  expect(postmasterOf(dataDir)).toBe(postmaster);
});

test("stop works while PostgreSQL is being started again, and when its supervisor is gone", async () => {
  const dataDir = await usedFolder();
  const first = await start(dataDir);
  process.kill(postmasterOf(dataDir), "SIGKILL");
  await first.stop();
  await gone(dataDir);

  const second = await start(dataDir);
  for (const pid of supervisorsOn(dataDir)) process.kill(pid, "SIGKILL");
  await second.stop();
  await gone(dataDir);
});
