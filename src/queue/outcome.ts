import { type SQL, sql } from "drizzle-orm";
import type { CompleteTask } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import { nowMs } from "../db/clock.ts";

/** Takes up to a fifth off a delay, so that tasks that failed together do not come back together. */
const JITTER = 0.2;

/** Where a completion takes its task. `note` says why, where that is more than the result itself. */
export interface Outcome {
  status: Task["status"];
  retry_at?: SQL;
  note?: { action: string; detail: string };
}

/**
 * success -> completed. error -> failed; with `retry`, and unless the worker says that it is no use, queued again after a delay that
 * grows, while attempts remain, else dead. Where a cancellation was asked for, the task ends as cancelled whatever came of it.
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

/** What a completion leaves as its task's `last_error`: null for a success, else how the message begins. */
export function lastErrorOf({ status, error_message }: CompleteTask): string | null {
  if (status === "success") return null;
  const said = error_message?.trim() || "The worker handed in an error without a message.";
  if (said.length <= LAST_ERROR_CHARACTERS) return said;
  // A pair of surrogates may have been cut in two.
  return `${said.slice(0, LAST_ERROR_CHARACTERS - 1).toWellFormed()}…`;
}
