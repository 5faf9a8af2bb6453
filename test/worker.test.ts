import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, symlinkSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Task } from "../src/contract/views.ts";
import { createTestDatabase } from "./support/database.ts";
import { type Launched, launch } from "./support/launch.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
const DATA_DIR = mkdtempSync(join(tmpdir(), "bloom-worker-"));
/** Where the second worker finds its programs: BusyBox's own, and curl. */
const applets = join(DATA_DIR, "bin");
if (busybox) {
  mkdirSync(applets);
  execFileSync(busybox, ["--install", "-s", applets]);
  symlinkSync(execFileSync("which", ["curl"], { encoding: "utf8" }).trim(), join(applets, "curl"));
}
/** The two workers behave alike, so they have one suite. Where BusyBox is not installed, the system's own shell runs the second. */
const WORKERS: [name: string, command: string[], path: string | undefined][] = [
  ["npm run worker", [process.execPath, "--import", "tsx", "src/worker/main.ts"], process.env.PATH],
  busybox
    ? ["worker.sh with BusyBox alone", [join(applets, "sh"), "src/worker/worker.sh"], applets]
    : ["worker.sh with the system's shell", ["/bin/sh", "src/worker/worker.sh"], process.env.PATH],
];

const API_KEY = "the-key-of-the-runtime";
const { url: DATABASE_URL, query } = await createTestDatabase();
let runtime: Launched;
/** A second instance, on which the tasks are created and looked at. */
let other: Launched;
let otherUrl = "";
let url = "";
let port = "0";

const env = {
  DATABASE_URL,
  DATA_DIR,
  MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  RUNTIME_API_KEY: API_KEY,
  RATE_LIMIT_PER_MINUTE: "0",
};

async function startRuntime(): Promise<void> {
  runtime = launch({ ...env, BLOOM_RUNTIME_PORT: port });
  port = await runtime.listening;
  url = `http://127.0.0.1:${port}`;
}
beforeAll(async () => {
  await startRuntime();
  other = launch({ ...env, BLOOM_RUNTIME_PORT: "0" });
  otherUrl = `http://127.0.0.1:${await other.listening}`;
});
afterAll(async () => {
  for (const instance of [runtime, other]) instance.kill("SIGTERM");
  await Promise.all([runtime.exited, other.exited]);
  await rm(DATA_DIR, { recursive: true, force: true });
});

async function call<Answer>(path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${otherUrl}/api/runtime${path}`, {
    method: body ? "POST" : "GET",
    headers: { "content-type": "application/json", "x-runtime-api-key": API_KEY },
    ...(body && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Answer;
}

const create = (label: string, fields: object = {}) =>
  call<Task>("/llm-tasks", { context_id: "garden", agent_slug: "writer", prompt: "p", requires: [label], ...fields });
const taskOf = (id: string) => call<Task>(`/llm-tasks/${id}`);
const endOf = (id: string, status: string) =>
  vi.waitFor(async () => expect((await taskOf(id)).status).toBe(status), { timeout: 30_000, interval: 50 });
async function resultOf(id: string) {
  const [result] = await call<{ output: string | null; error_message: string | null }[]>(`/llm-tasks/${id}/results`);
  return result;
}

describe.each(WORKERS)(
  "%s",
  (_name, command, path) => {
    const label = `only-${command.length}`;

    /** Starts a worker that gets only this suite's tasks. */
    function start(exec: string, name = `worker-${command.length}-${Math.random().toString(36).slice(2)}`) {
      const [program = "", ...args] = command;
      const options = ["--server", url, "--name", name, "--exec", exec, "--labels", label];
      const child = spawn(program, [...args, ...options], {
        cwd: ROOT,
        env: { ...process.env, PATH: path, RUNTIME_API_KEY: API_KEY },
        detached: true,
      });
      for (const stream of [child.stdout, child.stderr]) stream.resume();
      const exited = once(child, "exit").then(([code]: (number | null)[]) => code ?? null);
      /** As when the machine dies: with whatever it has started, such as a curl that waits for a task. */
      const crash = async () => {
        if (child.exitCode === null && child.signalCode === null && child.pid) process.kill(-child.pid, "SIGKILL");
        await exited;
      };
      onTestFinished(crash);
      return { name, child, exited, crash };
    }

    it("executes a task: the prompt comes in and the output goes out to the byte", async () => {
      start(`printf '%s %s|' "$BLOOM_AGENT_SLUG" "$BLOOM_CONTEXT_ID"; cat; printf '\\033[1m'`);
      const prompt = 'Say "hello\\n" \\ / \t тест 🌱\n\n{"prompt":"x"}\u0001\r\n';
      const { id } = await create(label, { prompt });
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toBe(`writer garden|${prompt}\u001b[1m`);
    });

    it("gives the command the task's fields, and not the key of the runtime", async () => {
      start('printf "%s|" "$BLOOM_TIMEOUT_SEC" "$BLOOM_BUDGET" "$BLOOM_CONTEXT_HINTS" "$RUNTIME_API_KEY"');
      const policy = { timeout_sec: 90.5, budget: 2 };
      const { id } = await create(label, { policy, context_hints: ['one "hint"', "[two],"] });
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toBe('90.5|2|one "hint"\n[two],||');
    });

    it("takes prompts and hints that are larger than any variable", async () => {
      start('wc -c; wc -c < "$BLOOM_CONTEXT_HINTS_FILE"; echo "in the environment: $BLOOM_CONTEXT_HINTS"');
      const prompt = 'a "quoted" line\n'.repeat(50_000);
      const { id } = await create(label, {
        prompt,
        context_hints: Array.from({ length: 20 }, () => "h".repeat(9_999)),
      });
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toMatch(/^\s*800000\n\s*(199999|200000)\nin the environment: \n$/);
    });

    it("keeps a lease while a child that it cannot end holds the output, and ends at the timeout", async () => {
      start("setsid sleep 40 & echo begun; sleep 40");
      const { id } = await create(label, { policy: { timeout_sec: 1 } });
      await endOf(id, "failed");
      expect(await resultOf(id)).toMatchObject({
        output: "begun\n",
        error_message: expect.stringContaining("timed out"),
      });
    });

    it("uploads an output that is too large for a body in JSON", async () => {
      start("head -c 12000000 /dev/zero | tr '\\0' 'y'");
      const { id } = await create(label);
      await endOf(id, "completed");
      const artifacts = await query("select size_bytes::int, url, content from runtime_artifacts where task_id = $1", [
        id,
      ]);
      expect(artifacts).toEqual([{ size_bytes: 12_000_000, url: null, content: null }]);
    });

    it("tells what a command that fails said, and ends one at its timeout", async () => {
      start(`if [ "$(cat)" = sleep ]; then sleep 60; else echo half; echo 'no "disk"' >&2; exit 7; fi`);
      const failing = await create(label);
      await endOf(failing.id, "failed");
      const failed = await resultOf(failing.id);
      expect([failed?.output, failed?.error_message]).toEqual([
        "half\n",
        expect.stringMatching(/ended with code 7: no "disk"/),
      ]);
      const slow = await create(label, { prompt: "sleep", policy: { timeout_sec: 1 } });
      await endOf(slow.id, "failed");
      expect((await resultOf(slow.id))?.error_message).toContain("timed out after 1 s");
    });

    it("stops a task that is cancelled", async () => {
      start("sleep 60");
      const { id } = await create(label);
      await endOf(id, "running");
      await call(`/llm-tasks/${id}/cancel`, { reason: "not needed" });
      await endOf(id, "cancelled");
      expect((await resultOf(id))?.error_message).toContain("the task was cancelled");
    });

    it("drains on SIGTERM: what it runs is completed, and it exits 0", async () => {
      const { child, exited } = start("sleep 2; echo done");
      const { id } = await create(label);
      await endOf(id, "running");
      const later = await create(label);
      child.kill("SIGTERM");
      expect(await exited).toBe(0);
      expect([(await taskOf(id)).status, (await taskOf(later.id)).status]).toEqual(["completed", "queued"]);
      await call(`/llm-tasks/${later.id}/cancel`, {});
    });

    it("keeps a finished result while the runtime is away, and delivers it", async () => {
      start("sleep 1; echo kept");
      const { id } = await create(label);
      await endOf(id, "running");
      runtime.kill("SIGKILL");
      await runtime.exited;
      await startRuntime();
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toBe("kept\n");
      expect((await taskOf(id)).attempts).toBe(1);
    });

    it("that was killed and starts again gets its task back at once, under another life", async () => {
      const first = start("sleep 60");
      const { id } = await create(label);
      await endOf(id, "running");
      await first.crash();
      start("echo again", first.name);
      await endOf(id, "completed");
      expect((await taskOf(id)).attempts).toBe(2);
      const [{ boots } = { boots: 0 }] = await query<{ boots: number }>(
        "select count(*)::int as boots from audit_logs where entity_id = $1",
        [first.name],
      );
      expect(boots).toBeGreaterThanOrEqual(2);
    });

    it("says what is wrong with its options", async () => {
      const [program = "", ...args] = command;
      for (const options of [[], ["--exec"], ["--nonsense", "x", "--exec", "cat"]]) {
        const child = spawn(program, [...args, ...options], { cwd: ROOT });
        let said = "";
        child.stderr.on("data", (chunk) => {
          said += chunk;
        });
        const [code] = await once(child, "close");
        expect([code === 0, said.length > 10, /\n\s+at /.test(said)]).toEqual([false, true, false]);
      }
    });
  },
  60_000,
);

it("the shell worker comes from the service, is short, and works when a shell reads it from a pipe", async () => {
  const response = await fetch(`${url}/api/runtime/worker.sh`, { headers: { "x-runtime-api-key": API_KEY } });
  const script = await response.text();
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    expect.stringContaining("text/x-shellscript"),
  ]);
  expect(script).toMatch(/^#!\/bin\/sh\n/);
  expect(script.trimEnd().split("\n").length).toBeLessThan(100);

  const [, [shell = ""] = [], path] = WORKERS[1] ?? [];
  const options = ["--server", url, "--name", "piped", "--exec", "tr a-z A-Z", "--labels", "piped"];
  const child = spawn(shell, ["-s", "--", ...options], { env: { PATH: path, RUNTIME_API_KEY: API_KEY } });
  for (const stream of [child.stdout, child.stderr]) stream.resume();
  child.stdin.end(script);
  const exited = once(child, "exit");
  const { id } = await create("piped", { prompt: "shout" });
  await endOf(id, "completed");
  expect((await resultOf(id))?.output).toBe("SHOUT");
  child.kill("SIGTERM");
  expect((await exited)[0]).toBe(0);
}, 60_000);
