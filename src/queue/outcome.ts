import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { nowMs } from "../db/clock.ts";

/** A delay is shortened by up to a fifth, at random, so that tasks that failed together do not come back together. */
const JITTER = 0.2;

/** The state into which a completion brings its task. `note` is a further audit entry, where the result alone does not explain the state. */
export interface Outcome {
  status: Task["status"];
  retry_at?: SQL;
  note?: { action: string; detail: string };
}

/**
 * What a completion does to its task. A success completes it. An error fails it, unless the task has `retry` and the worker did not say that
 * another try is no use: then it is queued again after a growing delay while attempts remain, and else dead. A task whose cancellation was
 * asked for is cancelled in any case.
 */
export function outcomeOf(task: Task, { status, retryable }: CompleteTask): Outcome {
  const { attempts, max_attempts, retry } = task;
  if (task.cancel_requested)
    return {
      status: "cancelled",
      note: { action: "task_cancelled", detail: `Cancelled when it ended with ${status}` },
    };
  if (status === "success") return { status: "completed" };
  if (!retry || !retryable) return { status: "failed" };
  const ended = `Attempt ${attempts} of ${max_attempts} ended with an error`;
  if (attempts >= max_attempts) return { status: "dead", note: { action: "task_dead", detail: ended } };
  const growth = retry.backoff === "linear" ? attempts : 2 ** (attempts - 1);
  const seconds = Math.min(retry.max_delay_sec, retry.base_delay_sec * growth) * (1 - Math.random() * JITTER);
  const delayMs = Math.round(seconds * 1_000);
  return {
    status: "queued",
    retry_at: sql`${nowMs} + ${delayMs}::bigint`,
    note: { action: "task_requeued", detail: `${ended}; due again in ${delayMs / 1_000} s` },
  };
}

const LAST_ERROR_CHARACTERS = 500;

/** The task's `last_error` after a completion: null for a success, else the beginning of its message. */
export function lastErrorOf({ status, error_message }: CompleteTask): string | null {
  if (status === "success") return null;
  const said = error_message?.trim() || "The worker handed in an error without a message.";
  if (said.length <= LAST_ERROR_CHARACTERS) return said;
  // The cut may have split a surrogate pair.
  return `${said.slice(0, LAST_ERROR_CHARACTERS - 1).toWellFormed()}…`;
}
