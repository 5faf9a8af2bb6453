import type { Logger } from "pino";
import { messageOf } from "../errors.ts";
import { pause } from "../signals.ts";
import { type Outcome, runCommand } from "./run-command.ts";
import type { Answer, RuntimeClient, Work } from "./runtime-client.ts";

const BEAT_WITHIN_MS = 10_000;
const LONGEST_BEAT_MS = 10_000;
const SHORTEST_BEAT_MS = 200;
/** Of what went wrong, in characters, in the log; all of it is in the result. */
const LONGEST_REASON = 300;
/** Longer outputs, in characters, are uploaded by themselves: in JSON they may exceed what the runtime takes. */
const LARGE = 1_000_000;

/**
 * Runs the command for a task and hands in what came of it, with heartbeats until that is delivered. A finished result is kept and sent
 * again until the runtime has accepted or refused it for good; `giveUp` ends the command and that. Never rejects.
 */
export async function execute(
  client: RuntimeClient,
  command: string,
  work: Work,
  log: Logger,
  giveUp: AbortSignal,
): Promise<void> {
  const task = work.task.id;
  const stop = new AbortController();
  const delivered = new AbortController();
  const onGiveUp = () => stop.abort("was stopped with its worker");
  giveUp.addEventListener("abort", onGiveUp, { once: true });
  if (giveUp.aborted) onGiveUp();
  const beating = beat(client, work, log, stop, delivered.signal);
  try {
    const startedAt = performance.now();
    const outcome = await runCommand(command, work, stop.signal);
    const metrics = { duration_ms: Math.round(performance.now() - startedAt) };
    const { status, body } = await deliver(client, work, outcome, metrics, giveUp);
    const level = status === 200 ? "info" : "warn";
    const reason = outcome.error_message?.slice(0, LONGEST_REASON);
    log[level]({ task, outcome: outcome.status, reason, ...metrics, error: body.error }, `completed: ${status}`);
  } catch (error) {
    log.error({ task, reason: messageOf(error) }, "the result could not be delivered");
  } finally {
    giveUp.removeEventListener("abort", onGiveUp);
    delivered.abort();
    await beating;
  }
}

async function deliver(
  client: RuntimeClient,
  { task, lease }: Work,
  outcome: Outcome,
  metrics: object,
  giveUp: AbortSignal,
): Promise<Answer> {
  const path = `/llm-tasks/${task.id}`;
  const complete = (result: object) =>
    client.insist(`${path}/complete`, { ...result, metrics, lease_id: lease.id }, giveUp);
  const handIn = async () => {
    if ((outcome.output?.length ?? 0) <= LARGE) return complete(outcome);
    const uploaded = await client.upload(`${path}/output`, outcome.output ?? "", lease.id, giveUp);
    if (uploaded.status !== 201) return uploaded;
    return complete({ ...outcome, output: null, output_id: uploaded.body.output_id });
  };
  const answer = await handIn();
  if (answer.status !== 400 && answer.status !== 413) return answer;
  const error_message = `The runtime refused the output (${answer.status}): ${JSON.stringify(answer.body.error)}`;
  return complete({ status: "error", output: null, error_message });
}

/** Keeps the lease alive until `delivered`, and stops the command when the task is cancelled or held by somebody else. Never rejects. */
async function beat(
  client: RuntimeClient,
  { task, lease }: Work,
  log: Logger,
  stop: AbortController,
  delivered: AbortSignal,
): Promise<void> {
  const path = `/llm-tasks/${task.id}/heartbeat`;
  let pauseMs = Math.min(LONGEST_BEAT_MS, (lease.ttl_seconds * 1_000) / 3);
  while (!delivered.aborted) {
    try {
      const { status, body } = await client.call(path, { lease_id: lease.id }, BEAT_WITHIN_MS, delivered);
      if (status === 404 || status === 409) return stop.abort("was stopped: its lease was lost");
      if (body.cancel === true) stop.abort("was stopped: the task was cancelled");
      if (typeof body.next_heartbeat_ms === "number") pauseMs = Math.max(SHORTEST_BEAT_MS, body.next_heartbeat_ms);
    } catch (error) {
      if (!delivered.aborted) log.warn({ task: task.id, reason: messageOf(error) }, "a heartbeat was not heard");
    }
    // Delivered: there is nothing to keep.
    await pause(pauseMs, delivered);
  }
}
