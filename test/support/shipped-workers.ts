/** A service, a second instance to look from, a proxy, and the two workers as processes: what the tests in test/worker share. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, symlinkSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, it as vitestIt } from "vitest";
import type { Task } from "../../src/contract/record-types.ts";
import { createTestDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { type FaultyProxy, startFaultyProxy } from "./faulty-proxy.ts";
import { type Launched, launch } from "./spawn-service.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const SCRIPT = join(ROOT, "src/worker/worker.sh");
export const PATH = process.env.PATH ?? "";

/** A directory with nothing but BusyBox's applets and curl, to be the PATH; undefined where BusyBox is not installed. */
function installBusyBox(): string | undefined {
  if (spawnSync("busybox", ["true"]).error) return;
  const directory = mkdtempSync(join(tmpdir(), "bloom-busybox-"));
  execFileSync("busybox", ["--install", "-s", directory]);
  const curl = execFileSync("busybox", ["which", "curl"], { encoding: "utf8" }).trim();
  symlinkSync(curl, join(directory, "curl"));
  return directory;
}
export const busyBox = installBusyBox();
if (!busyBox && process.env.CI) throw new Error("BusyBox is not installed, and the shell worker is for it.");

export interface Kind {
  command: string[];
  path: string;
  skip?: boolean;
}
/** The two workers behave alike, so they have one suite. */
export const WORKERS: [name: string, kind: Kind][] = [
  ["npm run worker", { command: [process.execPath, join(ROOT, "dist/worker.js")], path: PATH }],
  busyBox
    ? ["worker.sh under BusyBox", { command: [join(busyBox, "sh"), SCRIPT], path: busyBox }]
    : ["worker.sh under BusyBox (skipped: it is not installed)", { command: [], path: "", skip: true }],
];

export const API_KEY = "the-key-of-the-runtime";
const { db, url: DATABASE_URL, query, makeOverdue } = await createTestDatabase();

export { db, makeOverdue, query };

const DATA_DIR = mkdtempSync(join(tmpdir(), "bloom-worker-"));
/** For the workers' own files: one that is killed leaves some behind. */
const FOLDER = mkdtempSync(join(tmpdir(), "bloom-worker-files-"));
export let runtime: Launched;
/** A second instance, on which the tasks are created and looked at. */
export let other: Launched;
export let otherUrl = "";
export let url = "";
export let port = "0";
export let proxy: FaultyProxy;

const env = {
  DATABASE_URL,
  DATA_DIR,
  MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  RUNTIME_API_KEY: API_KEY,
  RATE_LIMIT_PER_MINUTE: "0",
};

export async function startRuntime(): Promise<void> {
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
  for (const directory of [DATA_DIR, FOLDER, ...(busyBox ? [busyBox] : [])]) await rm(directory, { recursive: true });
});

export async function call<Answer>(path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${otherUrl}/api/runtime${path}`, {
    method: body ? "POST" : "GET",
    headers: { "content-type": "application/json", "x-runtime-api-key": API_KEY },
    ...(body && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as Answer;
}

export const create = (label: string, fields: object = {}) =>
  call<Task>("/llm-tasks", { context_id: "garden", agent_slug: "writer", prompt: "p", requires: [label], ...fields });
export const taskOf = (id: string) => call<Task>(`/llm-tasks/${id}`);
/** Resolves when the task has this status. The database is asked, since a call of the service takes ten times the CPU time, every 50 ms. */
export const endOf = (id: string, status: string) =>
  eventually(
    async () => expect(await query("select status from llm_tasks where id = $1", [id])).toEqual([{ status }]),
    { timeout: 50_000 },
  );
export async function resultOf(id: string) {
  const [result] = await call<{ output: string | null; error_message: string | null }[]>(`/llm-tasks/${id}/results`);
  return result;
}

const CLI = "--cli ";
/** The options that say what does the work: a command, `--cli <name>`, or none for "". */
const workOf = (exec: string) =>
  exec.startsWith(CLI) ? ["--cli", exec.slice(CLI.length)] : exec === "" ? [] : ["--exec", exec];

/** Starts a worker that gets only the tasks that require its label, directly or through the proxy. */
export function startWorker({ command, path }: Kind, exec: string, settings: Settings) {
  const { label, server = url, name = `worker-${randomUUID()}`, key = API_KEY, script, cwd } = settings;
  const [program = "", ...args] = command;
  const options = ["--server", server, "--name", name, ...workOf(exec), "--labels", label, ...(settings.args ?? [])];
  const child = spawn(program, [...args, ...options], {
    cwd: cwd ?? FOLDER,
    env: { ...process.env, PATH: path, HOME: FOLDER, TMPDIR: FOLDER, RUNTIME_API_KEY: key, ...settings.env },
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
export interface Settings {
  label: string;
  server?: string;
  name?: string;
  key?: string;
  env?: Record<string, string>;
  /** Where it is called. */
  cwd?: string;
  /** Further options. */
  args?: string[];
  /** What it reads from standard input. */
  script?: string;
}

/** What a test of a worker is written with. */
export interface Bench {
  kind: Kind;
  /** Tasks that require it go to workers of this kind only. */
  label: string;
  it: typeof vitestIt.skip;
  start(exec: string, settings?: Partial<Settings>): StartedWorker;
  /** A worker whose calls go through the proxy. */
  startBehindProxy(exec: string, settings?: Partial<Settings>): StartedWorker;
}

export type StartedWorker = ReturnType<typeof startWorker>;

/** The same tests for both workers. */
export function describeWorkers(tests: (bench: Bench) => void): void {
  describe.each(WORKERS)(
    "%s",
    (_name, kind) => {
      const label = `only-${WORKERS.findIndex(([, one]) => one === kind)}`;
      const start = (exec: string, settings: Partial<Settings> = {}) => startWorker(kind, exec, { label, ...settings });
      const startBehindProxy = (exec: string, settings: Partial<Settings> = {}) => {
        proxy.reset();
        return start(exec, { server: proxy.url, ...settings });
      };
      tests({ kind, label, it: vitestIt.skipIf(kind.skip ?? false) as Bench["it"], start, startBehindProxy });
    },
    60_000,
  );
}
