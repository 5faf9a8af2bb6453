import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { backUp } from "../../src/db/backup.ts";
import { restore } from "../../src/db/restore.ts";
import { addLiveOutput } from "../../src/queue/live-output.ts";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { checkSettingsKey } from "../../src/saved-config/settings-key-check.ts";
import { argumentsOf, ROOT } from "../support/compiled-programs.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { useFolder } from "../support/embedded-template.ts";
import { aLeasedTask, aTask } from "../support/factories.ts";
import { completed, inDatabase, uploaded } from "../support/output-storage.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const folder = await temporaryFolder("bloom-backup-");
const embedded = { DATA_DIR: join(folder, "data") };

function run(
  verb: "backup" | "restore",
  file: string,
  env: Record<string, string>,
): Promise<{ code: number; out: string; err: string }> {
  const { PATH = "" } = process.env;
  return new Promise((resolve) => {
    const command = [...argumentsOf(verb), join(folder, file)];
    execFile(process.execPath, command, { cwd: ROOT, env: { PATH, ...env } }, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), out, err }),
    );
  });
}

/** All rows of all tables, and what the sequences gave last. */
async function everythingIn({ query }: TestDatabase) {
  const tables = await query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname in ('public', 'bloom_runtime') order by 1",
  );
  const rows: Record<string, unknown> = {};
  for (const { name } of tables) {
    const from = name === "migrations" ? "bloom_runtime.migrations" : name;
    const more = name === "migrations" ? " - 'id'" : " - 'xid'";
    rows[name] = await query(`select to_jsonb(t)${more} as row from ${from} t order by 1`);
  }
  rows.sequences = await query(
    "select sequencename, last_value from pg_sequences where schemaname = 'public' order by 1",
  );
  return rows;
}

async function makeRows({ db, query }: TestDatabase): Promise<void> {
  await completed(db, inDatabase, "tab\t, line\n, \u2028, back\\slash, \\.\n\\.\r\n end, 🌱");
  await uploaded(db, inDatabase, Buffer.alloc(700_000, "\0\n\\"));
  await aTask(db, { structured_input: { a: ["\n", null] }, idempotency_key: "k" });
  const { task, lease } = await aLeasedTask(db);
  await addLiveOutput(db, task.id, { lease_id: lease.id, seq: 1, text: "half a li" });
  await createKey(db, undefined, "dashboard", "read");
  await query("insert into runtime_settings values ('a', 'b')");
  await query("insert into runtime_usage (dimension, day, key, tokens) values ('day', '2026-01-31', '2026-01-31', 7)");
  await query("insert into runtime_retention (name, held_until, tasks_removed) values ('retention', 0, 7)");
  await query("insert into runtime_accounts (id, updated_at) values ('max-1', 7)");
}

// Each step is a process of its own; a busy machine may take its time.
it("brings all rows of a server into the embedded database, and from there into another server", {
  timeout: 300_000,
}, async () => {
  const from = await createTestDatabase();
  await makeRows(from);
  await mkdir(embedded.DATA_DIR);
  await useFolder(embedded.DATA_DIR);
  const saved = await run("backup", "one.gz", { ...embedded, DATABASE_URL: from.url });
  expect([saved.code, saved.err]).toEqual([0, ""]);
  expect(saved.out).toMatch(/^\d+ rows of \d+ tables \(4 tasks, 2 artifacts, \d+ audit entries\) are in .*one\.gz\.\n/);
  expect(saved.out).toContain("No bucket is set");
  expect(saved.out).toContain(join(embedded.DATA_DIR, "settings.key"));
  expect(await run("backup", "one.gz", { DATABASE_URL: from.url })).toMatchObject({
    code: 1,
    err: expect.stringContaining("is there already"),
  });

  expect(await run("restore", "one.gz", embedded)).toMatchObject({ code: 0, err: "" });
  const bucket = { MINIO_ENDPOINT: "minio", MINIO_ACCESS_KEY: "a", MINIO_SECRET_KEY: "a-secret" };
  const again = await run("backup", "two.gz", { ...embedded, ...bucket });
  expect(again.out).toContain("The outputs in the bucket bloom-artifacts at minio:9000 are not in it");
  expect(again.out).not.toContain("a-secret");
  const to = await createTestDatabase({ from: "template0" });
  expect(await run("restore", "two.gz", { DATABASE_URL: to.url })).toMatchObject({ code: 0, err: "" });
  expect(await everythingIn(to)).toEqual(await everythingIn(from));

  // What is guarded is guarded again, and new rows take the next numbers.
  await expect(to.query("delete from audit_logs")).rejects.toThrow("immutable");
  await aTask(to.db);
  expect(await run("restore", "two.gz", { DATABASE_URL: to.url })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^The database is not empty: audit_logs has \d+ row\(s\)\. Restore into a new one/),
  });
});

it("says after a restore whether the settings key that is here is the right one", async () => {
  const from = await createTestDatabase();
  const [key, other] = ["the key of the earlier service", "a key of another service"];
  await checkSettingsKey(from.db, createSecretBox(key), from.db.log);
  await from.query("insert into runtime_settings values ('admin_key', 'sealed')");
  await backUp(from.url, join(folder, "sealed.gz"));
  const dataDir = join(folder, "own");
  await mkdir(dataDir);
  const restoredWith = async (env: Record<string, string>) => {
    const { url } = await createTestDatabase({ from: "template0" });
    return (await run("restore", "sealed.gz", { DATABASE_URL: url, DATA_DIR: dataDir, ...env })).out;
  };
  const toBring = `put the settings.key of the earlier service at ${join(dataDir, "settings.key")}`;
  expect(await restoredWith({})).toContain(toBring);
  expect(await restoredWith({ SETTINGS_KEY: other })).toContain("set the SETTINGS_KEY of the earlier service");
  expect(await restoredWith({ SETTINGS_KEY: key })).toContain("The settings key here opens what is saved.");
  await writeFile(join(dataDir, "settings.key"), `${other}, and longer than 32`, { mode: 0o600 });
  expect(await restoredWith({})).toContain(toBring);
  await writeFile(join(dataDir, "settings.key"), "short", { mode: 0o600 });
  expect(await restoredWith({})).toContain(toBring);
});

it("leaves the database empty after a file that is no whole backup, and says what is wrong with it", async () => {
  const from = await createTestDatabase();
  await makeRows(from);
  const [file, faulty] = [join(folder, "whole.gz"), join(folder, "faulty.gz")];
  await backUp(from.url, file);
  const whole = await readFile(file);
  const text = gunzipSync(whole).toString();
  const contents: [content: Buffer | string, said: string][] = [
    [whole.subarray(0, whole.length - 200), "is damaged"],
    ["select 1", "is no backup of BLOOM Runtime"],
    [text.replace(/^-- migrations \d+$/m, "-- migrations 9999"), "of a later version"],
    [text.slice(0, text.indexOf("COPY public.workers")), "The backup is not whole"],
    [text.replace(/^(COPY public\.workers .*\n).*\n/m, "$1"), "The backup is not whole"],
    [text.replace(/^-- end of backup$/m, "DROP TABLE llm_tasks;"), "Not a line of a backup"],
  ];
  const to = await createTestDatabase();
  const before = await everythingIn(to);
  for (const [content, said] of contents) {
    await writeFile(faulty, typeof content === "string" ? gzipSync(content) : content);
    await expect(restore(to.url, faulty)).rejects.toThrow(said);
  }
  expect(await everythingIn(to)).toEqual(before);
  await expect(restore(to.url, join(folder, "nowhere.gz"))).rejects.toThrow("is not there");
});
