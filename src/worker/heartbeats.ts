import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import { isRecord, REFUSED_PAUSE_MS, type RuntimeClient, type Work } from "./runtime-client.ts";

const BEAT_WITHIN_MS = 10_000;
const LONGEST_BEAT_MS = 10_000;
const SHORTEST_BEAT_MS = 200;

/** The heartbeats for a task that is held. */
export interface Heartbeats {
  /** Aborted when the command shall end; its reason says why, as the rest of a sentence about the command. */
  stop: AbortSignal;
  /** Ends them, and resolves when the last one was answered or given up. A second call changes nothing. */
  end(): Promise<void>;
}

/** Begins to send heartbeats. The command shall end when a heartbeat says so, and at `giveUp`. */
export function startHeartbeats(client: RuntimeClient, work: Work, log: Logger, giveUp: AbortSignal): Heartbeats {
  const stop = new AbortController();
  const delivered = new AbortController();
  const onGiveUp = () => stop.abort("was stopped with its worker");
  giveUp.addEventListener("abort", onGiveUp, { once: true });
  if (giveUp.aborted) onGiveUp();
  const beating = beat(client, work, log, stop, delivered.signal);
  return {
    stop: stop.signal,
    end() {
      giveUp.removeEventListener("abort", onGiveUp);
      delivered.abort();
      return beating;
    },
  };
}

/** Sends heartbeats until `delivered`, and stops the command when the task is cancelled or another lease holds it. Never rejects. */
async function beat(
  client: RuntimeClient,
  { task, lease }: Work,
  log: Logger,
  stop: AbortController,
  delivered: AbortSignal,
): Promise<void> {
  const held = { id: task.id, lease_id: lease.id };
  let pauseMs = Math.min(LONGEST_BEAT_MS, (lease.ttl_seconds * 1_000) / 3);
  /** The reason that was logged last: the key may be refused for an hour. */
  let logged = "";
  while (!delivered.aborted) {
    const answer = await client.ask(
      (runtime, signal) => runtime.heartbeatTask(held, { signal }),
      BEAT_WITHIN_MS,
      delivered,
      isRecord,
    );
    if (answer.ok) {
      logged = "";
      const { cancel, next_heartbeat_ms } = answer.value;
      if (cancel) stop.abort("was stopped: the task was cancelled");
      if (typeof next_heartbeat_ms === "number")
        pauseMs = Math.min(LONGEST_BEAT_MS, Math.max(SHORTEST_BEAT_MS, next_heartbeat_ms));
    } else if (answer.status === 404 || answer.status === 409) {
      return stop.abort("was stopped: its lease was lost");
    } else if (!delivered.aborted) {
      const { status, error } = answer;
      const became =
        status === 0 ? "the runtime did not answer a heartbeat" : `the runtime refused a heartbeat: ${status}`;
      if (logged !== became + error) log.warn({ task: task.id, reason: error }, became);
      logged = became + error;
    }
    const isKeyRefused = !answer.ok && answer.status === 401 && !(await client.renewKey());
    // The pause ends early when the result is delivered.
    await pause(isKeyRefused ? REFUSED_PAUSE_MS : pauseMs, delivered);
  }
}
