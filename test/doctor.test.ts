import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { databaseTime } from "../src/db/clock.ts";
import { checkUntakeable, checkWorkers } from "../src/doctor/fleet.ts";
import { checkNode, checkOpenFiles } from "../src/doctor/machine.ts";
import { argumentsOf, ROOT } from "./support/compiled-programs.ts";
import { createTestDatabase } from "./support/database.ts";
import { aLeasedTask, aTask, aWorker } from "./support/factories.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const { db, url: DATABASE_URL, query, makeOverdue } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-doctor-");
const KEY = "a key that nobody guesses";
const settings = { DATABASE_URL, DATA_DIR, BLOOM_RUNTIME_PORT: "9", RUNTIME_API_KEY: KEY };

/** What `npm run doctor` says. */
function examine(env: Record<string, string>): Promise<{ code: number; output: string }> {
  const { PATH = "" } = process.env;
  const options = { cwd: ROOT, env: { PATH, ...settings, ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, argumentsOf("doctor"), options, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), output: out + err }),
    );
  });
}

describe("npm run doctor", () => {
  it("says what is right where the service does not run, makes no key file, and exits 0", async () => {
    const { code, output } = await examine({});
    expect(output).toMatch(/^ok {4}PostgreSQL .+ takes changes/m);
    expect(output).toMatch(/^ok {4}The tables are those of this version/m);
    expect(output).toMatch(/\d of the database's \d+ connections are in use; an instance takes up to 7/);
    expect(output).toMatch(/^ok {4}The clocks of this machine and of the database agree/m);
    expect(output).toMatch(/^note {2}The service does not run here/m);
    expect(output).toMatch(/^ok {4}No message to a webhook waits/m);
    expect(output).toMatch(/^ok {4}Tasks and audit entries are kept for ever/m);
    expect(output).toMatch(/^note {2}There is no SETTINGS_KEY and no /m);
    expect([code, output.includes(KEY)]).toEqual([0, false]);
    const notes = output.match(/^note /gm)?.length;
    expect(output).toMatch(new RegExp(`\\n\\nNothing is wrong; ${notes} notes above\\.\n$`));
    expect((await examine({})).output).toMatch(/^note {2}There is no SETTINGS_KEY and no /m);
  });

  it("says what is wrong and how to mend it, and exits 1", async () => {
    const { task } = await aLeasedTask(db);
    await makeOverdue(task.id, 3_600_000);
    const [last] = await query<{ hash: string; created_at: string }>(
      "delete from bloom_runtime.migrations where id = (select max(id) from bloom_runtime.migrations) returning hash, created_at",
    );
    const old = await examine({});
    expect([old.code, old.output]).toEqual([
      1,
      expect.stringMatching(/^WRONG The database lacks 1 migration.*\n {6}Start the service/m),
    ]);
    await query("insert into bloom_runtime.migrations (hash, created_at) values ($1, $2)", [
      last?.hash,
      last?.created_at,
    ]);
    await query("insert into runtime_retention (name, held_until, passed_at) values ('retention', 0, 0)");
    const [on, off] = [randomUUID(), randomUUID()];
    await query(
      `insert into runtime_webhooks (id, url, events, secret, from_seq, off_since, created_at, updated_at)
       select id::uuid, 'http://127.0.0.1:9/hook', '["*"]', 's', 0, case id when $2 then 0::bigint end, 0, 0 from unnest(array[$1, $2]) id`,
      [on, off],
    );
    await query(
      `insert into runtime_webhook_deliveries
         (id, target, type, entry_id, occurred_at, entity_type, entity_id, state, attempts, next_at, retry_until, created_at)
       select gen_random_uuid(), target, 'task.dead', gen_random_uuid(), 0, 'llm_task', 't', 'pending', 0, 0, 0,
         floor(extract(epoch from now()) * 1000) - hours * 3600000
       from (values ($1, 5), ($2, 48)) as waiting (target, hours)`,
      [on, off],
    );
    await aTask(db, { requires: ["gpu", "arm64"] });
    await aTask(db);
    const { code, output } = await examine({
      RUNTIME_API_KEY: "short",
      MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
      RETENTION_DAYS: "90",
      DISK_REFUSE_MB: "1000000000",
    });
    expect(code).toBe(1);
    expect(output).toMatch(/^WRONG A lease is overdue for 60 min: nothing sweeps\./m);
    expect(output).toMatch(/^WRONG Only \d+\.\d GB of .+ new work is refused/m);
    expect(output).toMatch(/^WRONG Kept are ended tasks for 90 days, but the last pass over them ended \d+ d ago/m);
    expect(output).toMatch(/^note {2}2 message\(s\) to webhooks wait, the oldest for 5 h\./m);
    expect(output).toMatch(/^note {2}1 webhook\(s\) are off\./m);
    expect(output).toMatch(
      /^note {2}1 task\(s\) wait for a worker with the label\(s\) gpu, arm64, the oldest for \d+ s/m,
    );
    expect(output).toMatch(/^WRONG RUNTIME_API_KEY has fewer than 16 characters/m);
    expect(output).toMatch(/^WRONG Membridge cannot be reached/m);
  });

  it("names workers that rest or are drained, and a task that none of them can take", async () => {
    const labels = { capabilities: { labels: ["kiln"] } };
    await aWorker(db, { name: "logged-out", ...labels });
    await aWorker(db, { name: "away", ...labels });
    const rest = { kind: "auth", reason: "Not logged in · Please run /login", until: null };
    await query("update workers set rest = $1 where id = 'logged-out'", [rest]);
    await query("update workers set drain = $1 where id = 'away'", [{ reason: "new disk.", until: null }]);
    await aWorker(db, { name: "gone", status: "offline" });
    await query("update workers set rest = $1 where id = 'gone'", [
      { kind: "worker", reason: "no claude", until: 4e12 },
    ]);
    await aWorker(db, { name: "slow", status: "offline" });
    await query("update workers set rest = $1 where id = 'slow'", [
      { kind: "trouble", reason: "time-outs", until: 4e12 },
    ]);
    const levels = (await checkWorkers(db)).map(({ level, what }) => `${level} ${what.split(" ")[1]}`);
    expect(levels).toEqual(["wrong gone", "wrong logged-out", "note away", "note slow"]);
    const { id } = await aTask(db, { requires: ["kiln"] });
    await query("update llm_tasks set updated_at = updated_at - 120000 where id = $1", [id]);
    const { code, output } = await examine({});
    expect(output).toMatch(/^note {2}Worker away is drained: new disk\.\n {6}POST \S+\/away\/resume ends that\.$/m);
    expect(output).toContain("WRONG Worker gone is offline. Before, it rested: no claude.\n");
    const why = "Worker logged-out rests until somebody resumes it: Not logged in · Please run /login.";
    expect(output).toContain(`WRONG ${why}\n      Mend that on its machine.`);
    expect(output).toContain(`WRONG 1 task(s) wait, the oldest for 2 min (${id}). ${why}`);
    expect(code).toBe(1);
  });

  it("says at once that a task waits for workers whose rests have no end soon, and notes those that end by themselves", async () => {
    const { id } = await aTask(db, { requires: ["loom"] });
    const restsFor = async (ms: number | null, column: "rest" | "account_rest") => {
      const until = ms === null ? null : (await databaseTime(db)) + ms;
      await query("update workers set rest = null, account_rest = null where id like 'loom-%'");
      await query(`update workers set ${column} = $1 where id like 'loom-%'`, [
        { kind: "trouble", reason: "It failed.", until },
      ]);
    };
    const levels = async () =>
      (await checkUntakeable(db)).filter(({ what }) => what.includes(id)).map(({ level }) => level);
    for (const name of ["loom-1", "loom-2", "loom-3", "loom-4"])
      await aWorker(db, { name, capabilities: { labels: ["loom"] } });
    expect(await levels()).toEqual([]);
    await restsFor(null, "rest");
    expect(await levels()).toEqual(["wrong"]);
    await restsFor(3_600_000, "account_rest");
    expect(await levels()).toEqual(["wrong"]);
    await restsFor(null, "rest");
    await query("update llm_tasks set updated_at = updated_at - 120000 where id = $1", [id]);
    await query("update workers set rest = rest || $1 where id = 'loom-4'", [
      { until: (await databaseTime(db)) + 240_000 },
    ]);
    expect(await levels()).toEqual(["note"]);
    await restsFor(240_000, "account_rest");
    expect(await levels()).toEqual(["note"]);
  });

  it("says which settings are wrong, and that the database cannot be reached, without a password", async () => {
    const wrong = await examine({ BLOOM_RUNTIME_PORT: "many" });
    expect([wrong.code, wrong.output]).toEqual([
      1,
      expect.stringMatching(/^WRONG The environment, or the file .env, has 1 wrong setting/m),
    ]);
    const away = await examine({ DATABASE_URL: "postgresql://user:secret@127.0.0.1:9/db" });
    expect([away.code, away.output]).toEqual([
      1,
      expect.stringMatching(/^WRONG The database at DATABASE_URL cannot be reached/m),
    ]);
    expect(away.output).not.toContain("secret");
  });
});

describe("what it says of the machine", () => {
  it("depends on the version of Node and on the limit of open files", () => {
    expect(["20.18.3", "20.19.0", "24.1.0"].map((version) => checkNode(version).level)).toEqual(["wrong", "ok", "ok"]);
    expect([128, 1_024, 65_536].map((limit) => checkOpenFiles(limit).level)).toEqual(["wrong", "note", "ok"]);
  });
});
