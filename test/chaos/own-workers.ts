/** The two workers that the project ships, as processes, and the command that they execute. */
import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { argumentsOf, ROOT } from "../support/compiled-programs.ts";

/** What their tasks require, so that nobody else takes them. */
export const OWN = "own";
/** A task's `timeout_sec`, after which its command is ended. */
export const TIMEOUT_SEC = 5;
/** What acts for a worker that was killed has ended by then: at the command's timeout, and the 5 s that it has to end in. */
const GONE_WITHIN_MS = (TIMEOUT_SEC + 10) * 1_000;

/** One in sixteen never ends by itself. The others write down that they have finished. */
const COMMAND = `case $BLOOM_LEASE_ID in *0) sleep 600 ;; *) sleep 0.3 ;; esac
printf 'Task %s under %s' "$BLOOM_TASK_ID" "$BLOOM_LEASE_ID"
echo "$CHAOS_LIFE $BLOOM_TASK_ID $BLOOM_LEASE_ID" >> "$CHAOS_FINISHED"`;

/** A command that has ended, and that nobody has killed the worker of. */
export interface Finished {
  worker: string;
  taskId: string;
  leaseId: string;
}

export class OwnWorker {
  readonly name: string;
  readonly cap = 1;
  private readonly wrong: string[] = [];
  private readonly command: string[];
  private readonly folder: string;
  /** In the environment of whatever it starts. */
  private readonly mark = randomUUID();
  /** The lives that were asked to end, and those of them that had no time for it. */
  private readonly asked = new Set<string>();
  private readonly killed = new Set<string>();
  private lives = 0;
  private life = "";
  private running: ReturnType<typeof spawn> | undefined;

  constructor(name: string, kind: "npm run worker" | "worker.sh", runtime: string, folder: string) {
    this.name = name;
    this.folder = join(folder, name);
    mkdirSync(this.folder);
    writeFileSync(join(this.folder, "finished"), "");
    const program =
      kind === "worker.sh" ? ["sh", "src/worker/worker.sh"] : [process.execPath, ...argumentsOf("worker")];
    this.command = [...program, "--server", runtime, "--name", name, "--labels", OWN, "--exec", COMMAND];
  }

  start(): void {
    const [program = "", ...args] = this.command;
    const life = `${this.name}#${this.lives++}`;
    const env = {
      ...process.env,
      HOME: this.folder,
      TMPDIR: this.folder,
      CHAOS_LIFE: life,
      CHAOS_FINISHED: join(this.folder, "finished"),
      CHAOS_MARK: this.mark,
    };
    const child = spawn(program, args, { cwd: ROOT, env, detached: true, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk) => {
      said = `${said}${chunk}`.slice(-2_000);
    });
    child.on("exit", (code) => {
      if (!this.asked.has(life)) this.wrong.push(`it ended by itself with ${code}: ${said}`);
    });
    this.life = life;
    this.running = child;
  }

  /** With -9, and it alone: whatever it has started lives on. It comes back after `ms`. */
  async kill(ms: number): Promise<void> {
    this.killed.add(this.life);
    await this.end("SIGKILL");
    await delay(ms);
    this.start();
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.running;
    this.asked.add(this.life);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Lets it drain. What is left of its earlier lives after the last command's time is named, and killed. */
  async finish(): Promise<string[]> {
    const gaveUp = new AbortController();
    const late = delay(GONE_WITHIN_MS, ["it did not end when it was asked to"], { signal: gaveUp.signal });
    const wrong = await Promise.race([this.end("SIGTERM").then(() => []), late]);
    gaveUp.abort();
    late.catch(() => {});
    const giveUpAt = performance.now() + GONE_WITHIN_MS;
    while (this.processes().length > 0 && performance.now() < giveUpAt) await delay(200);
    const left = this.processes();
    for (const { pid } of left) killIfThere(pid);
    const goOn = left.map(({ command }) => `it was killed, and this goes on: ${command}`);
    return [...this.wrong, ...wrong, ...goOn].map((sentence) => `own worker ${this.name}: ${sentence}`);
  }

  private processes(): { pid: number; command: string }[] {
    const lines = execFileSync("ps", ["axeww", "-o", "pid=,command="], { encoding: "utf8" }).split("\n");
    return lines
      .filter((line) => line.includes(`CHAOS_MARK=${this.mark}`))
      .map((line) => ({ pid: Number.parseInt(line, 10), command: line.trim().slice(0, 200) }));
  }

  /** Of the lives that were not killed, so that each of these results must have been handed in. */
  finished(): Finished[] {
    const lines = readFileSync(join(this.folder, "finished"), "utf8").split("\n").filter(Boolean);
    return lines.flatMap((line) => {
      const [life = "", taskId = "", leaseId = ""] = line.split(" ");
      return this.killed.has(life) ? [] : [{ worker: this.name, taskId, leaseId }];
    });
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
