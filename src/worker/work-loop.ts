import { randomUUID } from "node:crypto";
import { hostname, release, type as systemType } from "node:os";
import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import type { RegisterWorkerArgs } from "../client/index.ts";
import { StartError } from "../errors.ts";
import { commandFault } from "./can-run-command.ts";
import type { Command } from "./cli-command.ts";
import { execute, sendRelease } from "./execute.ts";
import { createFitness } from "./fitness.ts";
import { type Answer, isClaimed, pauseMs, REFUSED_PAUSE_MS, type RuntimeClient, type Work } from "./runtime-client.ts";

export interface WorkerOptions {
  name: string;
  command: Command;
  /** How many tasks it runs at the same time. */
  concurrency: number;
  labels: string[];
  /** The account at the LLM's provider that its CLI uses, where workers share one. */
  account: string | undefined;
}

/** How long a claim waits. A draining worker lets its claim end, so this is less than the 10 s that `docker stop` gives. */
const WAIT_SECONDS = 8;
const CLAIM_WITHIN_MS = 15_000;
const REGISTER_WITHIN_MS = 30_000;
const TELL_WITHIN_MS = 5_000;
const LONGEST_PAUSE_MS = 5_000;
/** How long the worker's record shows why it stopped, unless it is started again before. The call takes no longer time. */
const SAID_FOR_SECONDS = 3_600;
/** How long a lease lives after each heartbeat. If this machine dies, the task is queued again after this time. */
const LEASE_SECONDS = 90;
/** Somebody may resume a worker or an account that rests. A worker that asks less often than this would learn of it too late. */
const LONGEST_REST_MS = 10_000;
const restMs = (seconds: number) => Math.min(seconds * 1_000, LONGEST_REST_MS);
const HINTS: Record<number, string> = {
  401: "\nThe worker's key is read from RUNTIME_API_KEY in the environment, not from .env; or from the file that RUNTIME_API_KEY_FILE names.",
  404: "\nGive --server the runtime's address without the path of a page or call, such as http://host:3002.",
};

/** Why a call got no answer that is of use. */
type NoAnswer = Extract<Answer<unknown>, { ok: false }>;

/**
 * Runs the worker: registers, claims tasks by long poll and executes them until `draining` is aborted. Resolves when the tasks that were begun are
 * done, and the runtime was told that the worker is gone; `giveUp` ends these tasks too. Rejects when the runtime refuses the first registration,
 * or the claims for good, and when the command cannot be run on this machine.
 */
export async function work(
  client: RuntimeClient,
  options: WorkerOptions,
  log: Logger,
  draining: AbortSignal,
  giveUp: AbortSignal,
): Promise<void> {
  const { name, command, concurrency, labels, account } = options;
  const running = new Set<Promise<void>>();
  const fitness = createFitness(() => commandFault(command));
  let [restUntil, broken] = [0, ""];
  const self = {
    name,
    boot_id: randomUUID(),
    capabilities: { claude_cli: true, max_concurrency: concurrency, labels },
    os_info: `${systemType()} ${release()} ${process.arch} (${hostname()})`,
    install_method: "npm run worker",
    ...(account && { account }),
  };

  /** Takes no work for `seconds`, and tells the runtime why. An older runtime, which does not know that call, ignores it. */
  async function rest(seconds: number, reason: string): Promise<void> {
    const startedAt = performance.now();
    const before = restUntil;
    log.warn({ seconds, reason }, "takes no work for a while");
    restUntil = Math.max(before, startedAt + seconds * 1_000);
    const told = await client.ask(
      (runtime, signal) => runtime.restWorker({ id: name, seconds, reason }, { signal }),
      TELL_WITHIN_MS,
      giveUp,
    );
    // The runtime refuses the claims until the rest is over or somebody ends it, which is heard only by asking.
    if (told.ok) restUntil = Math.max(before, startedAt + restMs(seconds));
  }

  async function carryOut(item: Work): Promise<void> {
    if (draining.aborted) return sendRelease(client, item, "the worker drains", false);
    const verdict = await execute(client, command, item, log, { draining, giveUp }, fitness.isHopeless(item.task.id));
    const advice = fitness.judge(item.task.id, verdict);
    broken ||= advice.broken ?? "";
    if (advice.rest) await rest(advice.rest.seconds, advice.rest.reason);
  }

  /** Begins with the tasks, beside those that are running. */
  function begin(items: Work[]): void {
    for (const item of items) {
      const done = carryOut(item).finally(() => running.delete(done));
      running.add(done);
    }
  }

  let failures = 0;
  /** Why there is no work, as it was logged last: a rest may take hours, and its reason is said once. */
  let saidReason = "";
  /** Says why a claim got no answer, and waits until the next one makes sense. */
  async function afterRefusedClaim({ status, error, retryAfterSeconds }: NoAnswer): Promise<void> {
    const reason = JSON.stringify([status, error]);
    if (reason !== saidReason) log.warn({ status, error }, "no work for now");
    saidReason = reason;
    if (status === 400) broken = `the runtime does not take its claims: ${error}`;
    if (status === 404) await register(client, self, log, draining, { isFirst: false });
    if (status === 401 && (await client.renewKey())) return;
    if ([401, 403, 429].includes(status)) await pause(REFUSED_PAUSE_MS, draining);
    else if (status === 409 && retryAfterSeconds) await pause(restMs(retryAfterSeconds), draining);
    else await pauseAfter(failures++, draining);
  }

  await register(client, self, log, draining, { isFirst: true });
  while (!draining.aborted && !broken) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    if (performance.now() < restUntil) {
      await pause(restUntil - performance.now(), draining);
      continue;
    }
    const answer = await claim(client, name, concurrency - running.size, giveUp);
    if (answer.ok) {
      failures = 0;
      saidReason = "";
      begin(answer.value?.tasks ?? []);
    } else if (!draining.aborted) await afterRefusedClaim(answer);
  }
  log.info({ running: running.size }, "drained: no new work");
  await Promise.all(running);
  await sayGoodbye(client, self, broken);
  if (broken) throw new StartError(`No more work is taken, since ${broken}. Mend that and start the worker again.`);
}

/** Asks for up to `most` tasks. Draining does not abort the claim: tasks that it just got would be lost until their leases end. */
function claim(client: RuntimeClient, name: string, most: number, giveUp: AbortSignal) {
  const asked = { worker_id: name, max_tasks: most, wait_seconds: WAIT_SECONDS, ttl_seconds: LEASE_SECONDS };
  return client.ask((runtime, signal) => runtime.claimTasks(asked, { signal }), CLAIM_WITHIN_MS, giveUp, isClaimed);
}

/**
 * Tells the runtime that the worker is gone, and what is broken, if anything. Without this, the router would choose the worker for another minute,
 * until its silence is noticed. `giveUp` does not end it: a worker that was told to end at once says so within these 5 s, too.
 */
async function sayGoodbye(client: RuntimeClient, self: RegisterWorkerArgs, broken: string): Promise<void> {
  if (broken) {
    const rest = { id: self.name, seconds: SAID_FOR_SECONDS, reason: broken };
    await client.ask((runtime, signal) => runtime.restWorker(rest, { signal }), TELL_WITHIN_MS);
  }
  const offline = { ...self, status: "offline" as const };
  await client.ask((runtime, signal) => runtime.registerWorker(offline, { signal }), TELL_WITHIN_MS);
}

/** A draining worker waits for nothing: its pauses end. */
const pauseAfter = (failures: number, draining: AbortSignal) => pause(pauseMs(failures, LONGEST_PAUSE_MS), draining);

/**
 * Registers, and tries again until it succeeds. A refusal ends the worker only the first time: later it may come from a proxy while the runtime
 * restarts.
 */
async function register(
  client: RuntimeClient,
  self: RegisterWorkerArgs,
  log: Logger,
  draining: AbortSignal,
  { isFirst }: { isFirst: boolean },
): Promise<void> {
  for (let failures = 0; !draining.aborted; failures++) {
    const answer = await client.ask(
      (runtime, signal) => runtime.registerWorker(self, { signal }),
      REGISTER_WITHIN_MS,
      draining,
    );
    if (answer.ok) return log.info({ name: self.name }, "registered");
    const { status, error } = answer;
    if (status === 401 && (await client.renewKey())) continue;
    if (isFirst && [400, 401, 403, 404].includes(status))
      throw new StartError(`The runtime refused the registration: ${status} ${error}${HINTS[status] ?? ""}`);
    log.warn({ status, error }, "not registered yet");
    await pauseAfter(failures, draining);
  }
}
