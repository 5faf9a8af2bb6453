import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { StartError } from "../../src/errors.ts";
import { createLog } from "../../src/log.ts";
import { readOrMakeSettingsKey } from "../../src/saved-config/settings-key-file.ts";
import { folderForTest } from "../support/temporary-folder.ts";

let dataDir = "";
let path = "";
let lines: { level: number; path?: string; msg: string }[] = [];
const log = createLog("info", { write: (line: string) => void lines.push(JSON.parse(line)) });
const start = () => readOrMakeSettingsKey(undefined, dataDir, log);
const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

beforeEach(async () => {
  dataDir = join(await folderForTest(), "data");
  path = join(dataDir, "settings.key");
  lines = [];
});

it("is made at the first start, for its owner only, and named in the log, without what is in it", async () => {
  const secret = await start();
  expect(Buffer.from(secret, "base64")).toHaveLength(32);
  expect([await modeOf(path), (await readFile(path, "utf8")).trim()]).toEqual([0o600, secret]);
  expect(await readdir(dataDir)).toEqual(["settings.key"]);
  expect(lines).toEqual([{ level: 30, time: expect.any(Number), path, msg: expect.stringContaining("made the key") }]);
  expect(JSON.stringify(lines)).not.toContain(secret);
});

it("is read at the next start, which writes nothing into the folder", async () => {
  const secret = await start();
  lines = [];
  const before = await stat(dataDir, { bigint: true });
  expect(await start()).toBe(secret);
  expect((await stat(dataDir, { bigint: true })).mtimeNs).toBe(before.mtimeNs);
  expect(lines).toEqual([]);
});

it("is one and the same for those who start at once", async () => {
  const secrets = await Promise.all([start(), start(), start()]);
  expect(new Set(secrets).size).toBe(1);
  expect(await readdir(dataDir)).toEqual(["settings.key"]);
});

it("is not made, nor looked at, with SETTINGS_KEY", async () => {
  expect(await readOrMakeSettingsKey("the key of the settings", dataDir, log)).toBe("the key of the settings");
  await expect(stat(dataDir)).rejects.toThrow("ENOENT");
});

it.each(["", "\n", "cut off"])(
  "that has no whole key in it (%j) stops the start, and stays as it is",
  async (content) => {
    await start();
    await writeFile(path, content);
    const starting = start();
    await expect(starting).rejects.toThrow(StartError);
    await expect(starting).rejects.toThrow(/settings\.key has no key of at least 32 characters\. .*\.$/);
    expect(await readFile(path, "utf8")).toBe(content);
  },
);

it("that cannot be read stops the start with a sentence", async () => {
  await start();
  await rm(path);
  await mkdir(path);
  await expect(start()).rejects.toThrow(/settings\.key cannot be used: EISDIR.* or set SETTINGS_KEY\.$/);
});

it("that others could read is closed to them, with a warning", async () => {
  const secret = await start();
  await chmod(path, 0o644);
  lines = [];
  expect(await start()).toBe(secret);
  expect(await modeOf(path)).toBe(0o600);
  expect(lines).toMatchObject([{ level: 40, path, msg: expect.stringContaining("its mode is 600 now") }]);
});
