import { randomUUID } from "node:crypto";
import { hostname, release, type as systemType } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { messageOf } from "../errors.ts";
import { runCommand } from "./run-command.ts";
import type { RuntimeClient, Work } from "./runtime-client.ts";

export interface WorkerOptions {
  name: string;
  /** The shell command that does the work. */
  command: string;
  /** How many tasks at a time. */
  concurrency: number;
  labels: string[];
}

const WAIT_SECONDS = 25;
const AFTER_A_REFUSAL_MS = 5_000;
const SHORTEST_BEAT_MS = 200;
/** Longer outputs, in characters, are uploaded by themselves: in JSON they may exceed what the runtime takes. */
const LARGE = 1_000_000;

/**
 * Registers, claims tasks by long poll and executes them, until `draining` is aborted; resolves when what was begun is then done. A
 * finished result is kept and sent again until the runtime has accepted or refused it for good; `giveUp` ends also that.
 */
export async function work(
  client: RuntimeClient,
  options: WorkerOptions,
  log: Logger,
  draining: AbortSignal,
  giveUp: AbortSignal,
): Promise<void> {
  const { name, concurrency, labels } = options;
  const running = new Set<Promise<void>>();
  const register = () =>
    client.insist(
      "/workers",
      {
        name,
        boot_id: bootId,
        capabilities: { claude_cli: true, max_concurrency: concurrency, labels },
        os_info: `${systemType()} ${release()} ${process.arch} (${hostname()})`,
        install_method: "npm run worker",
      },
      draining,
    );
  const bootId = randomUUID();
  const registered = await register().catch((error) => {
    if (!draining.aborted) throw error;
  });
  if (!registered) return;
  const { status, body } = registered;
  if (status >= 400) throw new Error(`The runtime refused the registration (${status}): ${JSON.stringify(body.error)}`);
  log.info({ name }, "registered");

  while (!draining.aborted) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    const asked = { worker_id: name, max_tasks: concurrency - running.size, wait_seconds: WAIT_SECONDS };
    const answer = await client.insist("/llm-tasks/claim", asked, draining).catch(() => undefined);
    if (!answer) continue;
    if (answer.status === 404) await register();
    else if (answer.status >= 400) {
      log.warn({ status: answer.status, error: answer.body.error }, "no work for now");
      // Aborted: the loop ends.
      await delay(AFTER_A_REFUSAL_MS, undefined, { signal: draining }).catch(() => {});
    }
    for (const item of (answer.body.tasks ?? []) as Work[]) {
      const doing = execute(client, options.command, item, log, giveUp).finally(() => running.delete(doing));
      running.add(doing);
    }
  }
  log.info({ running: running.size }, "drained: no new work");
  await Promise.all(running);
}

async function execute(client: RuntimeClient, command: string, work: Work, log: Logger, giveUp: AbortSignal) {
  const { task, lease } = work;
  const path = `/llm-tasks/${task.id}`;
  const ended = new AbortController();
  const stop = new AbortController();
  giveUp.addEventListener("abort", () => stop.abort("was stopped with its worker"), { once: true });
  const startedAt = performance.now();
  const beating = beat(client, work, log, stop, ended.signal);
  const outcome = await runCommand(command, work, stop.signal);
  ended.abort();
  await beating;
  const metrics = { duration_ms: Math.round(performance.now() - startedAt) };
  const complete = (result: object) =>
    client.insist(`${path}/complete`, { ...result, metrics, lease_id: lease.id }, giveUp);
  const handIn = async () => {
    if ((outcome.output?.length ?? 0) <= LARGE) return complete(outcome);
    const uploaded = await client.upload(`${path}/output`, outcome.output ?? "", lease.id, giveUp);
    if (uploaded.status !== 201) return uploaded;
    return complete({ ...outcome, output: null, output_id: uploaded.body.output_id });
  };
  try {
    let answer = await handIn();
    if (answer.status === 400 || answer.status === 413) {
      const error_message = `The runtime refused the output (${answer.status}): ${JSON.stringify(answer.body.error)}`;
      answer = await complete({ status: "error", output: null, error_message });
    }
    const level = answer.status === 200 ? "info" : "warn";
    log[level](
      { task: task.id, outcome: outcome.status, ...metrics, error: answer.body.error },
      `completed: ${answer.status}`,
    );
  } catch (error) {
    log.error({ task: task.id, reason: messageOf(error) }, "the result could not be delivered");
  }
}

/** Keeps the lease alive until `ended`, and stops the command when the task is cancelled or held by somebody else. */
async function beat(
  client: RuntimeClient,
  { task, lease }: Work,
  log: Logger,
  stop: AbortController,
  ended: AbortSignal,
) {
  let pauseMs = Math.min(10_000, (lease.ttl_seconds * 1_000) / 3);
  while (!ended.aborted) {
    try {
      const { status, body } = await client.call(
        "POST",
        `/llm-tasks/${task.id}/heartbeat`,
        { lease_id: lease.id },
        ended,
      );
      if (status === 404 || status === 409) return stop.abort("was stopped: its lease was lost");
      if (body.cancel === true) return stop.abort("was stopped: the task was cancelled");
      if (typeof body.next_heartbeat_ms === "number") pauseMs = Math.max(SHORTEST_BEAT_MS, body.next_heartbeat_ms);
    } catch (error) {
      if (!ended.aborted) log.warn({ task: task.id, reason: messageOf(error) }, "a heartbeat was not heard");
    }
    // Ended: the command is done.
    await delay(pauseMs, undefined, { signal: ended }).catch(() => {});
  }
}
