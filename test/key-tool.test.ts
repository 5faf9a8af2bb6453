import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { argumentsOf, ROOT } from "./support/compiled-programs.ts";
import { createTestDatabase } from "./support/database.ts";
import { useFolder } from "./support/embedded-template.ts";
import { startProcess } from "./support/service-process.ts";
import { folderForTest, temporaryFolder } from "./support/temporary-folder.ts";

const DATA_DIR = await temporaryFolder("bloom-key-");
await useFolder(DATA_DIR);

const OPEN =
  "RUNTIME_API_KEY is not set here. A service without it is open and asks for no key, so these keys count only where it is set.\n";

/** What `npm run key -- <args>` runs. */
function key(env: Record<string, string>, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { PATH = "" } = process.env;
  return new Promise((resolve) => {
    const command = [...argumentsOf("key"), ...args];
    execFile(process.execPath, command, { cwd: ROOT, env: { PATH, DATA_DIR, ...env } }, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), out, err }),
    );
  });
}

// Each step is a process of its own; a busy machine may take its time.
describe("npm run key", { timeout: 60_000 }, () => {
  it("makes keys for the embedded database beside the service, which knows them and their end at once", async () => {
    const { url } = await startProcess({ DATA_DIR, RUNTIME_API_KEY: "the main key" });
    const ask = async (secret: string) =>
      (await fetch(`${url}/api/runtime/stats`, { headers: { "x-runtime-api-key": secret } })).status;
    const { code, out, err } = await key({}, "create", "--name", "dashboard", "--role", "read");
    expect([code, err, out]).toEqual([
      0,
      `The keys of the embedded database in ${DATA_DIR}:\n${OPEN}`,
      expect.stringMatching(/^bloom_[\w-]{43}\n$/),
    ]);
    expect(await ask(out.trim())).toBe(200);
    const list = (await key({}, "list")).out;
    expect(list).toMatch(/^dashboard: read, created 20\S+Z, last used 20\S+Z\n$/);
    expect((await key({}, "revoke", "--name", "dashboard")).out).toBe('The key "dashboard" is revoked.\n');
    expect(await ask(out.trim())).toBe(401);
    const last = await key({ RUNTIME_API_KEY: "the main key" }, "list");
    expect([last.out, last.err]).toEqual([
      expect.stringMatching(/, revoked 20\S+Z\n$/),
      expect.not.stringContaining("open"),
    ]);
  });

  it("makes no database to look for keys in, and says where it looked", async () => {
    const empty = await folderForTest();
    for (const args of [["list"], ["revoke", "--name", "a"]]) {
      const said = await key({ DATA_DIR: empty }, ...args);
      expect(said).toEqual({ code: 1, out: "", err: expect.stringContaining(`There is no database in ${empty} yet`) });
    }
    expect(await readdir(empty)).toEqual([]);
  });

  it("says what is wrong in a sentence", async () => {
    const { url: DATABASE_URL } = await createTestDatabase();
    const where = `The keys of the database ${new URL(DATABASE_URL).pathname.slice(1)} at ${new URL(DATABASE_URL).host} (DATABASE_URL):\n`;
    const run = (...args: string[]) => key({ DATABASE_URL }, ...args);
    const wrong = [[], ["make"], ["create"], ["create", "--name", "a"], ["create", "--name", "a b", "--role", "read"]];
    for (const said of await Promise.all(wrong.map((args) => run(...args))))
      expect(said).toMatchObject({ code: 1, out: "", err: expect.stringContaining("npm run key -- create") });
    expect((await run("create", "--name", "a", "--role", "root")).code).toBe(1);
    expect((await run("create", "--name", "a", "--role", "read", "--force")).code).toBe(1);
    expect(await run("revoke", "--name", "a")).toEqual({
      code: 1,
      out: "",
      err: `${where}There is no valid key "a".\n`,
    });
    expect(await run("create", "--name", "Admin", "--role", "read")).toEqual({
      code: 1,
      out: "",
      err: `${where}The name "Admin" has another meaning in the audit log; choose another name for the key.\n`,
    });
    await run("create", "--name", "a", "--role", "read");
    expect((await run("create", "--name", "a", "--role", "work")).err).toContain(
      '"a" has the role read; revoke it first',
    );
    await run("create", "--name", "a", "--role", "read");
    expect((await run("revoke", "--name", "a", "--older")).out).toBe('The older key "a" is revoked.\n');
  });
});
