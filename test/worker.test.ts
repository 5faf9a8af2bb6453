import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { mkdtempSync, symlinkSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, vi, it as vitestIt } from "vitest";
import type { Task } from "../src/contract/views.ts";
import { execute } from "../src/worker/execute.ts";
import { runCommand } from "../src/worker/run-command.ts";
import { createRuntimeClient } from "../src/worker/runtime-client.ts";
import { createTestDatabase } from "./support/database.ts";
import { cutOff, type FaultyProxy, hang, pass, refuse, startFaultyProxy } from "./support/faulty-proxy.ts";
import { type Launched, launch } from "./support/launch.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SCRIPT = "src/worker/worker.sh";
const PATH = process.env.PATH ?? "";

/** A directory with nothing but BusyBox's applets and curl, to be the PATH; undefined where BusyBox is not installed. */
function installBusyBox(): string | undefined {
  if (spawnSync("busybox", ["true"]).error) return;
  const directory = mkdtempSync(join(tmpdir(), "bloom-busybox-"));
  execFileSync("busybox", ["--install", "-s", directory]);
  const curl = execFileSync("busybox", ["which", "curl"], { encoding: "utf8" }).trim();
  symlinkSync(curl, join(directory, "curl"));
  return directory;
}
const busyBox = installBusyBox();
if (!busyBox && process.env.CI) throw new Error("BusyBox is not installed, and the shell worker is for it.");

interface Kind {
  command: string[];
  path: string;
  skip?: boolean;
}
/** The two workers behave alike, so they have one suite. */
const WORKERS: [name: string, kind: Kind][] = [
  ["npm run worker", { command: [process.execPath, "--import", "tsx", "src/worker/main.ts"], path: PATH }],
  busyBox
    ? ["worker.sh under BusyBox", { command: [join(busyBox, "sh"), SCRIPT], path: busyBox }]
    : ["worker.sh under BusyBox (skipped: it is not installed)", { command: [], path: "", skip: true }],
];

const API_KEY = "the-key-of-the-runtime";
const { url: DATABASE_URL, query, makeOverdue } = await createTestDatabase();
const DATA_DIR = mkdtempSync(join(tmpdir(), "bloom-worker-"));
let runtime: Launched;
/** A second instance, on which the tasks are created and looked at. */
let other: Launched;
let otherUrl = "";
let url = "";
let port = "0";
let proxy: FaultyProxy;

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
  proxy = await startFaultyProxy(() => url);
});
afterAll(async () => {
  for (const instance of [runtime, other]) instance.kill("SIGTERM");
  await Promise.all([runtime.exited, other.exited]);
  await proxy.close();
  for (const directory of [DATA_DIR, ...(busyBox ? [busyBox] : [])]) await rm(directory, { recursive: true });
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

/** Starts a worker that gets only the tasks that require its label, directly or through the proxy. */
function startWorker({ command, path }: Kind, exec: string, settings: Settings) {
  const { label, server = url, name = `worker-${randomUUID()}`, key = API_KEY, script } = settings;
  const [program = "", ...args] = command;
  const options = ["--server", server, "--name", name, "--exec", exec, "--labels", label];
  const child = spawn(program, [...args, ...options], {
    cwd: ROOT,
    env: { ...process.env, PATH: path, RUNTIME_API_KEY: key },
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      said += chunk;
    });
  child.stdin.end(script);
  const exited = once(child, "exit").then(([code]: (number | null)[]) => code ?? null);
  const signalGroup = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null && child.pid) process.kill(-child.pid, signal);
  };
  /** As when the machine dies: with whatever it has started, such as a curl that waits for a task. */
  const crash = async () => {
    signalGroup("SIGKILL");
    await exited;
  };
  onTestFinished(crash);
  return { name, child, exited, crash, signalGroup, said: () => said };
}
interface Settings {
  label: string;
  server?: string;
  name?: string;
  key?: string;
  /** What it reads from standard input. */
  script?: string;
}

describe.each(WORKERS)(
  "%s",
  (_name, kind) => {
    const { command, skip = false } = kind;
    const label = `only-${command.length}`;
    const it = vitestIt.skipIf(skip);
    const start = (exec: string, settings: Partial<Settings> = {}) => startWorker(kind, exec, { label, ...settings });
    /** One whose calls go through the proxy. */
    const startBehindProxy = (exec: string) => {
      proxy.reset();
      return start(exec, { server: proxy.url });
    };

    it("executes a task: the prompt comes in and the output goes out to the byte", async () => {
      start(`printf '%s %s|' "$BLOOM_AGENT_SLUG" "$BLOOM_CONTEXT_ID"; cat; printf '\\033[1m'`);
      const prompt = 'Say "hello\\n" \\ / \t тест 🌱\n\n{"prompt":"x"}\u0001\r\n';
      const { id } = await create(label, { prompt });
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toBe(`writer garden|${prompt}\u001b[1m`);
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
      const { child, exited, name } = start("sleep 2; echo done");
      const { id } = await create(label);
      await endOf(id, "running");
      const later = await create(label);
      child.kill("SIGTERM");
      expect(await exited).toBe(0);
      expect([(await taskOf(id)).status, (await taskOf(later.id)).status]).toEqual(["completed", "queued"]);
      // The router is not to give it anything in the minute until its silence is noticed.
      expect((await call<{ status: string }>(`/workers/${name}`)).status).toBe("offline");
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
      start("echo again", { name: first.name });
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
        const child = spawn(program, [...args, ...options], { cwd: ROOT, env: { ...process.env, PATH: kind.path } });
        let said = "";
        child.stderr.on("data", (chunk) => {
          said += chunk;
        });
        const [code] = await once(child, "close");
        expect([code === 0, said.length > 10, /\n\s+at /.test(said)]).toEqual([false, true, false]);
      }
    });

    it("gives the command the task's fields and not the key, and hints that are too large for a variable in a file", async () => {
      start(
        `printf '%s|' "$BLOOM_TIMEOUT_SEC" "$BLOOM_BUDGET" "$BLOOM_DESIRED_FORMAT" "$BLOOM_CONTEXT_HINTS" "$RUNTIME_API_KEY"
         [ -n "$BLOOM_TASK_ID$BLOOM_LEASE_ID" ] && wc -c < "$BLOOM_CONTEXT_HINTS_FILE" | tr -d ' '`,
      );
      const policy = { timeout_sec: 60.5, budget: 0.25 };
      const small = await create(label, { policy, context_hints: ['a "b"', "c"], desired_format: "json" });
      await endOf(small.id, "completed");
      expect((await resultOf(small.id))?.output).toBe('60.5|0.25|json|a "b"\nc||7\n');
      const large = await create(label, { policy, context_hints: Array(30).fill("h".repeat(9_999)) });
      await endOf(large.id, "completed");
      expect((await resultOf(large.id))?.output).toBe("60.5|0.25|text|||299999\n");
    });

    it("reads a prompt of 9 MB in seconds", async () => {
      start("cat | wc -c | tr -d ' '");
      const { id } = await create(label, { prompt: 'A "word"\n'.repeat(750_000) });
      await endOf(id, "completed");
      expect((await resultOf(id))?.output).toBe("6750000\n");
    });

    it("ends a command in time that something in another session keeps open", async () => {
      start(`if [ "$(cat)" = slow ]; then setsid sleep 45 & sleep 45; else setsid sleep 45 & echo done; fi`);
      const quick = await create(label);
      await endOf(quick.id, "completed");
      expect((await resultOf(quick.id))?.output).toBe("done\n");
      const slow = await create(label, { prompt: "slow", policy: { timeout_sec: 1.5 } });
      await endOf(slow.id, "failed");
      expect((await resultOf(slow.id))?.error_message).toContain("timed out after 1.5 s");
    });

    it("ends a command that ignores SIGTERM, with what it has started", async () => {
      start("trap '' TERM; (trap '' TERM; sleep 45) & sleep 45");
      const { id } = await create(label, { policy: { timeout_sec: 1 } });
      await endOf(id, "failed");
      expect((await resultOf(id))?.error_message).toContain("timed out after 1 s");
    });

    it("kills at the timeout also when heartbeats are not answered", async () => {
      startBehindProxy("sleep 45");
      proxy.on(/heartbeat$/, hang, 3);
      const before = Date.now();
      const { id } = await create(label, { policy: { timeout_sec: 2 } });
      await endOf(id, "failed");
      expect((await resultOf(id))?.error_message).toContain("timed out after 2 s");
      expect(Date.now() - before).toBeLessThan(20_000);
    });

    it("executes nothing of an answer that was cut off", async () => {
      startBehindProxy("cat");
      proxy.on(/claim$/, cutOff);
      const { id } = await create(label, { prompt: "whole ".repeat(1_000) });
      await endOf(id, "leased");
      await makeOverdue(id);
      await endOf(id, "completed");
      expect(await call(`/llm-tasks/${id}/results`)).toHaveLength(1);
      expect((await resultOf(id))?.output).toBe("whole ".repeat(1_000));
      expect(proxy.calls.filter((one) => one.includes("/llm-tasks//"))).toEqual([]);
    });

    it("delivers a result although Ctrl-C comes meanwhile and the first answer is lost", async () => {
      const worker = startBehindProxy("echo kept");
      proxy.on(/complete$/, (response) => {
        worker.signalGroup("SIGINT");
        response.destroy();
      });
      const { id } = await create(label);
      await endOf(id, "completed");
      expect(await worker.exited).toBe(0);
    });

    it("tries an upload and a completion again after 503 and 408", async () => {
      startBehindProxy("head -c 12000000 /dev/zero | tr '\\0' 'y'");
      proxy.on(/output$/, refuse(503));
      proxy.on(/complete$/, refuse(408));
      const { id } = await create(label);
      await endOf(id, "completed");
    });

    it("hands in an error when its result is refused", async () => {
      startBehindProxy("echo too much");
      proxy.on(/complete$/, refuse(413));
      const { id } = await create(label);
      await endOf(id, "failed");
      expect((await resultOf(id))?.error_message).toContain("refused the output (413)");
    });

    it("keeps its lease alive while it delivers", async () => {
      startBehindProxy("sleep 2");
      proxy.on(
        /heartbeat$/,
        async (response, forward) => {
          const { status, body } = await forward();
          response.writeHead(status).end(body.toString().replace(/"next_heartbeat_ms":\d+/, '"next_heartbeat_ms":200'));
        },
        Number.POSITIVE_INFINITY,
      );
      const { id } = await create(label);
      const [beats, complete] = [`POST /api/runtime/llm-tasks/${id}/heartbeat`, /complete$/];
      const count = () => proxy.calls.filter((one) => one === beats).length;
      proxy.on(complete, async (response, forward) => {
        const before = count();
        await vi.waitFor(() => expect(count()).toBeGreaterThan(before), { timeout: 15_000 });
        await pass(response, forward);
      });
      await endOf(id, "completed");
    });

    it("hands back what a claim gives while it drains, and then ends", async () => {
      const worker = startBehindProxy("echo never");
      proxy.on(/claim$/, async (response, forward) => {
        const { status, body } = await forward();
        worker.child.kill("SIGTERM");
        // Only then does the answer arrive.
        setTimeout(() => response.writeHead(status).end(body), 500);
      });
      const { id } = await create(label);
      expect(await worker.exited).toBe(0);
      expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0, lease_id: null });
      await call(`/llm-tasks/${id}/cancel`, {});
    });

    it("goes on when it has to register again and that is refused at first", async () => {
      const worker = startBehindProxy("echo back");
      await vi.waitFor(() => expect(proxy.calls.at(-1)).toMatch(/claim$/), { timeout: 15_000 });
      proxy.on(/claim$/, refuse(404));
      proxy.on(/workers$/, refuse(404), 2);
      const { id } = await create(label);
      await endOf(id, "completed");
      expect((await taskOf(id)).worker_id).toBe(worker.name);
    });

    it("says that its key is refused, and is not kept from draining by that", async () => {
      const worker = startBehindProxy("cat");
      await vi.waitFor(() => expect(proxy.calls.at(-1)).toMatch(/claim$/), { timeout: 15_000 });
      proxy.on(/claim$/, refuse(401));
      await vi.waitFor(() => expect(worker.said()).toContain("401"), { timeout: 15_000 });
      worker.child.kill("SIGTERM");
      expect(await worker.exited).toBe(0);
      expect(proxy.calls.at(-1)).toMatch(/workers$/);
    });

    it("ends with the reason when its first registration is refused", async () => {
      const worker = start("cat", { key: "not-the-key-of-the-runtime" });
      expect(await worker.exited).not.toBe(0);
      expect(worker.said()).toMatch(/refused the registration.*Unauthorized/s);
    });

    it("does not take a cancellation for the next task's", async () => {
      startBehindProxy('[ "$(cat)" = quick ] && sleep 3 || sleep 45');
      const first = await create(label);
      await endOf(first.id, "running");
      await call(`/llm-tasks/${first.id}/cancel`, {});
      await endOf(first.id, "cancelled");
      proxy.on(/heartbeat$/, refuse(503), 2);
      const second = await create(label, { prompt: "quick" });
      await endOf(second.id, "completed");
    });
  },
  60_000,
);

vitestIt.skipIf(!busyBox)("the shell worker runs from a pipe, as it comes from the service", async () => {
  const response = await fetch(`${url}/api/runtime/worker.sh`, { headers: { "x-runtime-api-key": API_KEY } });
  const script = await response.text();
  const path = busyBox ?? "";
  const piped = { command: [join(path, "sh"), "-s", "--"], path };
  startWorker(piped, "cat", { label: "only-piped", script });
  const { id } = await create("only-piped", { prompt: "through a pipe" });
  await endOf(id, "completed");
  expect((await resultOf(id))?.output).toBe("through a pipe");
});

vitestIt("the shell worker comes from the service, and is short", async () => {
  const response = await fetch(`${url}/api/runtime/worker.sh`, { headers: { "x-runtime-api-key": API_KEY } });
  const script = await response.text();
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    expect.stringContaining("text/x-shellscript"),
  ]);
  expect(script).toBe(await readFile(join(ROOT, SCRIPT), "utf8"));
  expect(script.trimEnd().split("\n").length).toBeLessThan(100);
});

describe("a task's execution", () => {
  const task = {
    id: randomUUID(),
    context_id: "garden",
    agent_slug: "writer",
    prompt: "p",
    context_hints: [],
    policy: { timeout_sec: 60, budget: 0 },
    desired_format: "text",
  };
  const work = { task, lease: { id: randomUUID(), ttl_seconds: 300 } };

  vitestIt("ends well when the command cannot be started", async () => {
    const outcome = await runCommand("x".repeat(3_000_000), work, new AbortController().signal);
    expect(outcome).toMatchObject({
      status: "error",
      error_message: expect.stringContaining("The command could not be run: spawn E2BIG"),
    });
  });

  vitestIt("leaves no listener behind", async () => {
    const giveUp = new AbortController().signal;
    const client = createRuntimeClient(url, API_KEY);
    await execute(client, "true", work, pino({ level: "silent" }), giveUp);
    expect(getEventListeners(giveUp, "abort")).toEqual([]);
  });
});
