import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { audit } from "../../src/db/audit.ts";
import { openDatabase } from "../../src/db/client.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openEventHub } from "../../src/events/event-hub.ts";
import { readEvents } from "../../src/events/read-events.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { folderForTest } from "../support/temporary-folder.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const empty = () => createTestDatabase({ from: "template0" });

describe("migrations", () => {
  it("are applied once by instances that start together, and not again", async () => {
    const { url, query } = await empty();
    const begun: number[] = [];
    const counts = await Promise.all(Array.from({ length: 5 }, () => migrate(url, (pending) => begun.push(pending))));
    const files = readdirSync(join(ROOT, "migrations")).filter((name) => name.endsWith(".sql"));
    expect(counts.toSorted()).toEqual([0, 0, 0, 0, files.length]);
    expect(begun).toEqual([files.length]);
    expect(await migrate(url)).toBe(0);
    expect(await query("select count(*)::int as n from bloom_runtime.migrations")).toEqual([{ n: files.length }]);
  });

  it("that fail leave nothing behind", async () => {
    const { url, query } = await empty();
    // Our last table's name is taken by something that is no table of the earlier service.
    await query("create sequence workers");
    await expect(migrate(url)).rejects.toThrow();
    expect(await query("select relname from pg_class where relname in ('llm_tasks', 'leases', 'migrations')")).toEqual(
      [],
    );
    await query("drop sequence workers");
    expect(await migrate(url)).toBeGreaterThan(0);
  });

  it("need no superuser, only the owner of the database", async () => {
    const { url, query } = await empty();
    const role = `bloom_owner_${process.pid}`;
    await query(`create role ${role} login password 'secret'`);
    onTestFinished(async () => {
      await query(`reassign owned by ${role} to current_user`);
      await query(`drop owned by ${role}`);
      await query(`drop role ${role}`);
    });
    const address = new URL(url);
    await query(`alter database ${address.pathname.slice(1)} owner to ${role}`);
    await query(`alter schema public owner to ${role}`);
    Object.assign(address, { username: role, password: "secret" });
    expect(await migrate(address.href)).toBeGreaterThan(0);

    // Some managed databases refuse the functions that say the timeline. Of two addresses the one that answers is found, and events are told.
    await query("revoke execute on function pg_current_wal_lsn() from public");
    const several = address.href.replace(address.host, `${address.host},127.0.0.1:9`);
    const said: string[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
    const { db, close } = openDatabase({ url: several, poolMax: 2 }, log);
    onTestFinished(close);
    const hub = openEventHub(db);
    onTestFinished(hub.close);
    const { after } = await hub.enter(undefined);
    await hub.enter(after);
    expect(after.timeline).toBe(0);
    expect(said).toEqual([expect.stringContaining("does not say its timeline")]);
    await audit(db, { action: "task_dead", entity_type: "llm_task", entity_id: "t", actor: "a", detail: "d" });
    // Transactions of other databases on the server may delay that.
    const told = await eventually(
      async () => {
        const [event] = (await readEvents(db, after)).events;
        if (!event) throw new Error("The event was not told.");
        return event.at;
      },
      { timeout: 30_000 },
    );
    expect((await hub.enter(told)).isKnown).toBe(true);
  });
});

describe("drizzle-kit push", () => {
  it("after the migrations finds nothing to change, and never touches the tables of others", async () => {
    const { url, query } = await createTestDatabase();
    await query("create table notes (id serial primary key, text text)");
    await query("create table public.sessions (sid varchar primary key, sess json)");
    const tables = () =>
      query(
        "select schemaname, tablename from pg_tables where schemaname in ('public', 'bloom_runtime') order by 1, 2",
      );
    const indexes = () => query("select indexdef from pg_indexes where schemaname = 'public' order by 1");
    const before = [await tables(), await indexes()];
    // drizzle-kit leaves its compiler's cache in the folder for temporary files.
    const TMPDIR = await folderForTest();
    await run("npm", ["run", "db:push"], { cwd: ROOT, env: { ...process.env, TMPDIR, DATABASE_URL: url } });
    expect([await tables(), await indexes()]).toEqual(before);
  });
});
