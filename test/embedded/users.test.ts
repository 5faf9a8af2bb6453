import { chmod, chown, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  copyPackage,
  isRoot,
  ordinaryUser,
  query,
  start,
  startService,
  temporaryFolder,
  unreachable,
} from "./support.ts";

test("root below a folder that only root may enter", async (context) => {
  context.skip(!isRoot || process.platform !== "linux", "needs root on Linux");
  const folder = await temporaryFolder(0o700);
  const packageDirectory = await copyPackage(folder);
  const dataDir = join(folder, ".data");
  const { url } = await start(dataDir, { packageDirectory });
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
  expect((await stat(join(dataDir, "postgres"))).uid).not.toBe(0);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
});

test("an ordinary user starts it, root goes on as that user, and then that user again", async (context) => {
  context.skip(Boolean(unreachable()), String(unreachable()));
  const dataDir = await temporaryFolder(0o777);
  const user = ordinaryUser();
  for (const as of isRoot ? [user, { uid: 0, gid: 0 }, user] : [user]) {
    const service = startService(dataDir, { as });
    expect(await service.next()).toEqual({ url: expect.any(String) });
    await service.stop();
    expect((await stat(join(dataDir, "postgres", "PG_VERSION"))).uid).toBe(user.uid);
  }
});

test("an ordinary user on somebody else's files is refused, and root gets its own copy to run", async (context) => {
  context.skip(!isRoot, "needs root");
  context.skip(Boolean(unreachable()), String(unreachable()));
  const dataDir = await temporaryFolder(0o777);
  const { stop } = await start(dataDir);
  await stop();
  const cluster = join(dataDir, "postgres");
  expect(await startService(dataDir, { as: ordinaryUser() }).next()).toEqual({
    refused: `The database in ${cluster} belongs to another user, as when the service was first started as root. Start it as that user, or set DATA_DIR to another folder.`,
    clear: true,
  });
  await chown(cluster, 0, 0);
  const { url } = await start(dataDir);
  expect(await query(url, "select 1 as n")).toEqual([{ n: 1 }]);
});

test("a folder that cannot be written is named", async (context) => {
  context.skip(Boolean(unreachable()), String(unreachable()));
  const dataDir = join(await temporaryFolder(), "locked", ".data");
  await mkdir(join(dataDir, ".."));
  await chmod(join(dataDir, ".."), 0o555);
  const { refused, clear } = await startService(dataDir, { as: ordinaryUser() }).next();
  expect(refused).toBe(
    `PostgreSQL's files cannot be kept in ${dataDir} (EACCES: permission denied, mkdir '${dataDir}'). Make it a folder that this user may write to, or set DATA_DIR to another one.`,
  );
  expect(clear).toBe(true);
});
