import { appendFile, chmod, mkdir, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { StartError } from "../../src/errors.ts";
import { query, start, temporaryFolder, usedFolder } from "./support.ts";

test("the files of another PostgreSQL are refused and left as they are", async () => {
  const dataDir = await temporaryFolder();
  const cluster = join(dataDir, "postgres");
  await mkdir(cluster);
  await writeFile(join(cluster, "PG_VERSION"), "17\n");
  await expect(start(dataDir)).rejects.toThrow(
    new StartError(
      `The folder ${cluster} was made by PostgreSQL 17, and this is 18. It is as it was; set DATA_DIR to another folder.`,
    ),
  );
  expect(await readdir(cluster)).toEqual(["PG_VERSION"]);
});

test("a folder that is no database is refused and left as it is", async () => {
  const dataDir = await temporaryFolder();
  const cluster = join(dataDir, "postgres");
  await mkdir(cluster);
  await writeFile(join(cluster, "notes.txt"), "mine");
  await expect(start(dataDir)).rejects.toThrow(`The folder ${cluster} is not a PostgreSQL database.`);
  expect(await readdir(cluster)).toEqual(["notes.txt"]);
});

test("a start that fails tells PostgreSQL's reason and where its log is; a log that has grown begins anew", async () => {
  const dataDir = await usedFolder();
  const logFile = join(dataDir, "postgres.log");
  await truncate(logFile, 11 * 1024 * 1024);
  await (await start(dataDir)).stop();
  expect((await stat(logFile)).size).toBeLessThan(100_000);

  await appendFile(join(dataDir, "postgres", "postgresql.conf"), "no_such_setting = 1\n");
  await expect(start(dataDir)).rejects.toThrow(
    new StartError(
      `PostgreSQL did not start: configuration file "${dataDir}/postgres/postgresql.conf" contains errors. Its log is ${logFile}.`,
    ),
  );
});

test("a database whose password is lost or wrong says so", async () => {
  const dataDir = await usedFolder();
  const file = join(dataDir, "postgres", "bloom-password");
  await writeFile(file, "wrong");
  await expect(start(dataDir)).rejects.toThrow(
    "PostgreSQL did not start: it takes no connections, password authentication failed for user",
  );
  await rm(file);
  await expect(start(dataDir)).rejects.toThrow("is missing: the file bloom-password.");
});

test("a data folder that is a file is named", async () => {
  const dataDir = join(await temporaryFolder(), "file");
  await writeFile(dataDir, "");
  await expect(start(dataDir)).rejects.toThrow(`PostgreSQL's files cannot be kept in ${dataDir} (EEXIST`);
});

test("closes database files that a mount has opened to a group, says so, and keeps its log of changes small", async () => {
  const folder = await temporaryFolder();
  const first = await start(folder);
  expect(await query(first.url, "show max_wal_size")).toEqual([{ max_wal_size: "128MB" }]);
  await first.stop();
  await chmod(join(folder, "postgres"), 0o2770);
  const warnings: unknown[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) });
  await start(folder, { log });
  expect(warnings).toEqual([expect.stringContaining("open to other users")]);
});
