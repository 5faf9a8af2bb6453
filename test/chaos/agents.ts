/** Node agents of today under faults: they are told what to do, send no lease id, and repeat nothing. */
import { setTimeout as delay } from "node:timers/promises";
import { type NodeAgent, type NodeAgentOptions, startNodeAgent } from "../support/node-agent.ts";
import { type Call, type Journal, untilAnswered } from "./callers.ts";
import type { Random } from "./random.ts";

const ANSWERS_AFTER_MS = 100;
const SLOW_MS = 3_000;

export class Agent {
  readonly name: string;
  readonly cap = 2;
  private readonly call: Call;
  private readonly options: NodeAgentOptions;
  private running: NodeAgent | undefined;
  private takesMs = ANSWERS_AFTER_MS;

  constructor(name: string, runtime: string, call: Call) {
    this.name = name;
    this.call = call;
    this.options = { name, runtime, cli: (execution) => this.run(execution.prompt) };
  }

  private async run(prompt: string): Promise<string> {
    await delay(this.takesMs);
    return `${this.name} on ${prompt}`;
  }

  async start(): Promise<void> {
    this.running = await startNodeAgent(this.options);
    // Its own registration is not repeated, and may have met an instance that was down.
    const capabilities = { max_concurrency: this.cap };
    const self = { name: this.name, url: this.running.url, capabilities };
    await untilAnswered(() => this.call("POST", "/workers", self));
  }

  async stop(): Promise<void> {
    await this.running?.close();
  }

  /** The machine is gone, with the calls that are open, and comes back at another address. */
  async kill(ms: number): Promise<void> {
    await this.stop();
    await delay(ms);
    await this.start();
  }

  async slow(ms: number): Promise<void> {
    this.takesMs = SLOW_MS;
    await delay(ms);
    this.takesMs = ANSWERS_AFTER_MS;
  }

  /** It answers 503. */
  async loseCli(ms: number): Promise<void> {
    const { cli } = this.options;
    this.options.cli = null;
    await delay(ms);
    if (cli) this.options.cli = cli;
  }
}

/** Dispatches one that is queued to whom the service chooses, as the frontend does. */
export async function dispatchOne(call: Call, random: Random, journal: Journal): Promise<void> {
  const queued = await call("GET", "/llm-tasks?status=queued");
  const tasks = (queued?.body ?? []).filter(({ requires }: { requires: string[] }) => requires.length === 0);
  if (tasks.length === 0) return;
  const answer = await call("POST", `/llm-tasks/${random.pick<{ id: string }>(tasks).id}/dispatch`, {});
  if (answer?.status === 200) journal.dispatched += 1;
  if (answer?.status === 502) journal.refused += 1;
}
