/** The script that a console page offers: what it installs, and what the installed worker is started with. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { KEY_HEADER, MAIN_KEY } from "../support/keys.ts";
import { folderForTest } from "../support/temporary-folder.ts";

const AGENT_KEY = "the-key-of-the-agents";
const { db } = await createTestDatabase();
const app = await startApp(db, { env: { MEMBRIDGE_AGENT_KEY: AGENT_KEY, RUNTIME_API_KEY: MAIN_KEY } });

describe("the installation script", () => {
  const SCRIPT = "/api/runtime/agent-install-script";
  const ask = (query: object) => app.api.get(SCRIPT).query(query).set(KEY_HEADER, MAIN_KEY);

  /** Runs the script with these settings; not with execFileSync, since it calls the service of this process. */
  async function install(folder: string, name: string, settings: Record<string, string>) {
    const { text } = await ask({ node_id: name, server_url: `${app.url}/` }).expect(200);
    const env = { ...process.env, BLOOM_WORKER_DIR: folder, RUNTIME_API_KEY: MAIN_KEY, ...settings };
    const installing = spawn("sh", ["-s"], { env, stdio: ["pipe", "ignore", "pipe"] });
    installing.stdin.end(text);
    const exited = once(installing, "exit");
    const complaint = (await installing.stderr.toArray()).join("");
    return { code: (await exited)[0], complaint };
  }

  it("installs the worker as it is served, and holds no secret", async () => {
    const folder = await folderForTest();
    const { text } = await ask({ node_id: "pi-4", server_url: `${app.url}/` }).expect(200);
    for (const secret of [MAIN_KEY, AGENT_KEY, ADMIN_KEY]) expect(text).not.toContain(secret);
    const installed = await install(folder, "pi-4", { EXEC: "tr a-z A-Z", LABELS: "gpu,linux" });
    expect(installed).toEqual({ code: 0, complaint: "" });
    const kept = (name: string) => readFile(join(folder, name), "utf8");
    expect(await kept("worker.sh")).toBe((await app.api.get("/api/runtime/worker.sh").set(KEY_HEADER, MAIN_KEY)).text);
    expect([await kept("server"), await kept("name"), await kept("exec")]).toEqual([
      `${app.url}\n`,
      "pi-4\n",
      "tr a-z A-Z\n",
    ]);
    expect([await kept("labels"), await readdir(folder)]).toEqual([
      "gpu,linux\n",
      expect.not.arrayContaining(["account"]),
    ]);
    // The program that `run.sh` starts is given what was kept.
    await writeFile(join(folder, "account"), "Olena's account\n");
    await writeFile(join(folder, "worker.sh"), `printf '%s|' "$@"`);
    expect(execFileSync(join(folder, "run.sh"), { encoding: "utf8" })).toBe(
      `--server|${app.url}|--name|pi-4|--exec|tr a-z A-Z|--labels|gpu,linux|--account|Olena's account|`,
    );
    // The worker has its own files here, so that its command runs elsewhere, unless CWD says where.
    await writeFile(join(folder, "worker.sh"), `printf '%s|' "$BLOOM_WORKER_DIR" "$@"`);
    expect(execFileSync(join(folder, "run.sh"), { encoding: "utf8" })).toMatch(`${folder}|--server|`);
    expect((await stat(join(folder, "key"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "run.sh"))).mode & 0o777).toBe(0o700);
  });

  it("has the worker find its CLI under cron too, whose PATH is short", async () => {
    const [folder, clis] = [await folderForTest(), await folderForTest()];
    await writeFile(join(clis, "claude"), "#!/bin/sh\n", { mode: 0o700 });
    const installed = await install(folder, "pi-7", { PATH: `${clis}:${process.env.PATH}` });
    expect(installed).toEqual({ code: 0, complaint: "" });
    await writeFile(join(folder, "worker.sh"), "command -v claude");
    const found = execFileSync(join(folder, "run.sh"), { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } });
    expect(found).toBe(`${clis}/claude\n`);
  });

  it("passes on what the CLI may do, as it was given, and refuses that for any other command", async () => {
    const folder = await folderForTest();
    const CLI_ARGS = `--permission-mode acceptEdits --append-system-prompt "it's $(id) *"`;
    const refused = await install(folder, "pi-8", { EXEC: "cat", CLI_ARGS });
    expect(refused).toEqual({ code: 2, complaint: expect.stringContaining("CLI_ARGS are for CLI") });
    expect(await readdir(folder)).toEqual([]);
    expect((await install(folder, "pi-8", { CLI: "codex", CLI_ARGS })).code).toBe(0);
    await writeFile(join(folder, "worker.sh"), `printf '%s|' "$@"`);
    const given = () => execFileSync(join(folder, "run.sh"), { encoding: "utf8" });
    expect(given()).toBe(`--server|${app.url}|--name|pi-8|--cli|codex|--cli-args|${CLI_ARGS}|`);
    await install(folder, "pi-8", { CLI: "codex", CWD: folder });
    await writeFile(join(folder, "worker.sh"), `printf '%s|' "$@"`);
    expect(given()).toBe(`--server|${app.url}|--name|pi-8|--cli|codex|--cwd|${folder}|`);
  });

  it("keeps each worker in a folder of its own, and starts it where that is asked for and its command is there", async () => {
    const home = await folderForTest();
    const start = async (name: string, settings: Record<string, string>) => {
      const { text } = await ask({ node_id: name, server_url: app.url }).expect(200);
      const env = { ...process.env, HOME: home, RUNTIME_API_KEY: MAIN_KEY, START: "yes", ...settings };
      // The worker that it starts is of its process group.
      const installing = spawn("sh", ["-s"], { env, detached: true, stdio: ["pipe", "pipe", "ignore"] });
      installing.stdin.end(text);
      const said = (await installing.stdout.toArray()).join("");
      return { said, end: () => process.kill(-(installing.pid ?? Number.NaN), "SIGTERM") };
    };
    expect((await start("pi-5", { CLI: "no-such-cli" })).said).toContain("Start it: nohup");
    const { said, end } = await start("pi-6", { EXEC: "cat" });
    onTestFinished(() => {
      try {
        end();
      } catch {
        // The process has ended.
      }
    });
    expect(said).toContain("It starts now.");
    const isThere = async () => (await app.api.get("/api/runtime/workers/pi-6").set(KEY_HEADER, MAIN_KEY)).status;
    await eventually(async () => expect(await isThere()).toBe(200));
    expect((await readdir(join(home, ".bloom-worker"))).toSorted()).toEqual(["pi-5", "pi-6"]);
    const own = join(home, ".bloom-worker", "pi-6");
    expect(await readdir(join(own, "work"))).toEqual([]);
    expect(await readFile(join(own, "worker.log"), "utf8")).toContain(`its command runs in ${own}/work, since`);
    expect((await start("pi-6", { EXEC: "cat" })).said).not.toContain("It starts now.");
    process.kill(Number.parseInt(await readFile(join(own, "pid"), "utf8"), 10), "SIGTERM");
    await eventually(async () => expect(await readdir(own)).not.toContain("pid"), { timeout: 20_000 });
    expect(await readdir(join(home, ".bloom-worker", "pi-5"))).not.toContain("worker.log");
  });

  it("has its values as single words of the shell, and takes no others", async () => {
    const server_url = "http://pi.example/a'b$(id)`id`";
    const line = /^SERVER=.*$/m.exec((await ask({ server_url })).text)?.[0];
    expect(execFileSync("sh", ["-c", `${line}\nprintf %s "$SERVER"`], { encoding: "utf8" })).toBe(server_url);
    expect((await ask({})).text).toContain("NAME=$(hostname)\n");
    for (const node_id of ["a b", "$(id)", "a\nb", "'", "x".repeat(129)]) await ask({ node_id }).expect(400);
    for (const wrong of ["file:///etc", "http://u:p@h/", "http://h/?q", "no address"])
      await ask({ server_url: wrong }).expect(400);
  });
});
