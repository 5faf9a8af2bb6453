import { randomUUID } from "node:crypto";
import { hostname, release, type as systemType } from "node:os";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { pause } from "../signals.ts";
import { execute } from "./execute.ts";
import { type Answer, pauseMs, type RuntimeClient, type Work } from "./runtime-client.ts";

export interface WorkerOptions {
  name: string;
  /** The shell command that does the work. */
  command: string;
  /** How many tasks at a time. */
  concurrency: number;
  labels: string[];
}

/** Less than the 10 s that `docker stop` gives: a worker that drains lets its claim come to its end. */
const WAIT_SECONDS = 8;
const CLAIM_WITHIN_MS = 15_000;
const REGISTER_WITHIN_MS = 30_000;
const RELEASE_WITHIN_MS = 5_000;
const RELEASE_TRIES = 3;
const LONGEST_PAUSE_MS = 5_000;
/** After a key that was refused: each one counts, and too many lock out all that come from the same address. */
const REFUSED_PAUSE_MS = 30_000;

/**
 * Registers, claims tasks by long poll and executes them, until `draining` is aborted; resolves when what was begun is then done, and the
 * runtime knows that it has gone. `giveUp` ends also that. Rejects when the runtime refuses the first registration.
 */
export async function work(
  client: RuntimeClient,
  options: WorkerOptions,
  log: Logger,
  draining: AbortSignal,
  giveUp: AbortSignal,
): Promise<void> {
  const { name, command, concurrency, labels } = options;
  const running = new Set<Promise<void>>();
  // Draining: there is nothing left to wait for.
  const pauseAfter = (failures: number) => pause(pauseMs(failures, LONGEST_PAUSE_MS), draining);
  const self = {
    name,
    boot_id: randomUUID(),
    capabilities: { claude_cli: true, max_concurrency: concurrency, labels },
    os_info: `${systemType()} ${release()} ${process.arch} (${hostname()})`,
    install_method: "npm run worker",
  };
  const attempt = (path: string, body: object, withinMs: number, signal: AbortSignal): Promise<Answer> =>
    client.call(path, body, withinMs, signal).catch((error: unknown) => ({
      status: 0,
      body: { error: messageOf(error) },
    }));

  /** Only the first time is a refusal the end: later it may be a proxy's, while the runtime is being exchanged. */
  async function register(isFirst: boolean): Promise<void> {
    for (let failures = 0; !draining.aborted; failures++) {
      const { status, body } = await attempt("/workers", self, REGISTER_WITHIN_MS, draining);
      if (status === 200 || status === 201) return log.info({ name }, "registered");
      if (isFirst && [400, 401, 403].includes(status))
        throw new StartError(`The runtime refused the registration (${status}): ${JSON.stringify(body.error)}`);
      log.warn({ status, error: body.error }, "not registered yet");
      await pauseAfter(failures);
    }
  }

  async function handBack({ task, lease }: Work): Promise<void> {
    const body = { lease_id: lease.id, reason: "the worker drains" };
    for (let tries = 0; tries < RELEASE_TRIES; tries++)
      if ((await attempt(`/llm-tasks/${task.id}/release`, body, RELEASE_WITHIN_MS, giveUp)).status !== 0) return;
  }

  await register(true);
  for (let failures = 0; !draining.aborted; ) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    const asked = { worker_id: name, max_tasks: concurrency - running.size, wait_seconds: WAIT_SECONDS };
    // Draining does not cut it off: what it was just given would be nobody's until its lease ends.
    const { status, body } = await attempt("/llm-tasks/claim", asked, CLAIM_WITHIN_MS, giveUp);
    const items = Array.isArray(body.tasks) ? (body.tasks as Work[]) : [];
    for (const item of items) {
      const doing = draining.aborted ? handBack(item) : execute(client, command, item, log, giveUp);
      const done = doing.finally(() => running.delete(done));
      running.add(done);
    }
    if (status === 204 || items.length > 0) {
      failures = 0;
    } else if (!draining.aborted) {
      log.warn({ status, error: body.error }, "no work for now");
      if (status === 404) await register(false);
      if ([401, 403, 429].includes(status)) await pause(REFUSED_PAUSE_MS, draining);
      else await pauseAfter(failures++);
    }
  }
  log.info({ running: running.size }, "drained: no new work");
  await Promise.all(running);
  // Else the router gives it work for the minute until its silence is noticed.
  await attempt("/workers", { ...self, status: "offline" }, RELEASE_WITHIN_MS, giveUp);
}
