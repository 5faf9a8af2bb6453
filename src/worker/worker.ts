import { randomUUID } from "node:crypto";
import { hostname, release, type as systemType } from "node:os";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { pause } from "../signals.ts";
import { commandFault } from "./command-fault.ts";
import { execute, handBack } from "./execute.ts";
import { createFitness } from "./fitness.ts";
import { type Answer, pauseMs, REFUSED_PAUSE_MS, type RuntimeClient, type Work } from "./runtime-client.ts";

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
const TELL_WITHIN_MS = 5_000;
const LONGEST_PAUSE_MS = 5_000;
/** So long a task is lost when this machine dies; heartbeats renew the lease. */
const LEASE_SECONDS = 90;
const KEY_HINT = "\nThe worker's key is read from RUNTIME_API_KEY, or from the file that RUNTIME_API_KEY_FILE names.";

/**
 * Registers, claims tasks by long poll and executes them, until `draining` is aborted; resolves when what was begun is then done, and the
 * runtime knows that it has gone. `giveUp` ends also that. Rejects when the runtime refuses the first registration, or the
 * claims for good, and when the command cannot be run on this machine.
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
  const fitness = createFitness(() => commandFault(command));
  let [restUntil, broken] = [0, ""];
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
      if (status === 401 && (await client.renewKey())) continue;
      if (isFirst && [400, 401, 403].includes(status))
        throw new StartError(
          `The runtime refused the registration: ${status} ${JSON.stringify(body)}${status === 401 ? KEY_HINT : ""}`,
        );
      log.warn({ status, error: body.error }, "not registered yet");
      await pauseAfter(failures);
    }
  }

  /** Takes no work for a while, and has the worker's record say why. A runtime that does not know the call is none the worse. */
  async function rest(seconds: number, reason: string): Promise<void> {
    restUntil = Math.max(restUntil, performance.now() + seconds * 1_000);
    log.warn({ seconds, reason }, "rests");
    await attempt(`/workers/${encodeURIComponent(name)}/rest`, { seconds, reason }, TELL_WITHIN_MS, giveUp);
  }

  async function carryOut(item: Work): Promise<void> {
    if (draining.aborted) return handBack(client, item, "the worker drains", false);
    const verdict = await execute(client, command, item, log, giveUp, fitness.isHopeless(item.task.id));
    const advice = fitness.judge(item.task.id, verdict);
    broken ||= advice.broken ?? "";
    if (advice.rest) await rest(advice.rest.seconds, advice.rest.reason);
  }

  await register(true);
  for (let failures = 0; !draining.aborted && !broken; ) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    if (performance.now() < restUntil) {
      await pause(restUntil - performance.now(), draining);
      continue;
    }
    const asked = {
      worker_id: name,
      max_tasks: concurrency - running.size,
      wait_seconds: WAIT_SECONDS,
      ttl_seconds: LEASE_SECONDS,
    };
    // Draining does not cut it off: what it was just given would be nobody's until its lease ends.
    const { status, body } = await attempt("/llm-tasks/claim", asked, CLAIM_WITHIN_MS, giveUp);
    const items = Array.isArray(body.tasks) ? (body.tasks as Work[]) : [];
    for (const item of items) {
      const done = carryOut(item).finally(() => running.delete(done));
      running.add(done);
    }
    if (status === 204 || items.length > 0) {
      failures = 0;
    } else if (!draining.aborted) {
      log.warn({ status, error: body.error }, "no work for now");
      if (status === 400) broken = `the runtime does not take its claims: ${JSON.stringify(body.error)}`;
      if (status === 404) await register(false);
      if (status === 401 && (await client.renewKey())) continue;
      if ([401, 403, 429].includes(status)) await pause(REFUSED_PAUSE_MS, draining);
      else await pauseAfter(failures++);
    }
  }
  log.info({ running: running.size }, "drained: no new work");
  await Promise.all(running);
  // Else the router gives it work for the minute until its silence is noticed.
  await attempt("/workers", { ...self, status: "offline" }, TELL_WITHIN_MS, giveUp);
  if (broken) throw new StartError(`No more work is taken, since ${broken}. Mend that and start the worker again.`);
}
