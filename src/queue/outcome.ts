import { type SQL, sql } from "drizzle-orm";
import { withResetTimes } from "../cli/known-messages.ts";
import type { CompleteTask } from "../contract/complete-task.ts";
import type { Task } from "../contract/record-types.ts";
import type { AuditAction } from "../db/audit-actions.ts";
import { nowMs } from "../db/clock.ts";
import type { Retry } from "../db/json-types.ts";
import type { ErrorKind } from "../db/kinds.ts";
import { llmTasks } from "../db/task-tables.ts";
import { limitReached, usageOf } from "./attempt-usage.ts";

/** A delay is shortened by up to a fifth, at random, so that tasks that failed together do not come back together. */
const JITTER = 0.2;
/** The delay before a retry that the task itself does not ask for. */
const DEFAULT_RETRY: Retry = { base_delay_sec: 15, max_delay_sec: 300 };
/** Where another worker is preferred, the worker that failed leaves the task to others for this time after it is due. */
const ELSEWHERE_MS = 10_000;

/** What a kind of failure does. */
interface Rule {
  /**
   * `requeue`: queued again at once. `delay`: queued again after a delay, while attempts remain. `as retry says`: the same where the task has
   * `retry`, else failed. `fail`: failed, also where the task has `retry`.
   */
  task: "requeue" | "delay" | "as retry says" | "fail";
  attempt: "given back" | "counts";
  /** What rests because of an attempt of this kind, or has it counted towards a rest: see docs/outcomes.md. */
  rest: "account" | "worker" | "cli" | "after three" | undefined;
  /** The number of the failure from which on another worker is preferred. */
  elsewhereFrom: number | undefined;
}

const rule = (
  task: Rule["task"],
  attempt: Rule["attempt"],
  rest?: Rule["rest"],
  elsewhereFrom?: Rule["elsewhereFrom"],
): Rule => ({ task, attempt, rest, elsewhereFrom });

/** The only place that says what each kind does; docs/outcomes.md has the same table in words, and a test compares them. */
export const RULES: Record<ErrorKind, Rule> = {
  rate_limited: rule("requeue", "given back", "account"),
  auth: rule("requeue", "given back", "worker"),
  no_cli: rule("requeue", "given back", "cli"),
  overloaded: rule("delay", "counts", "after three", 2),
  provider_error: rule("delay", "counts", "after three", 2),
  timeout: rule("as retry says", "counts", "after three", 1),
  crashed: rule("as retry says", "counts", "after three", 1),
  parse_error: rule("as retry says", "counts"),
  budget_exceeded: rule("fail", "counts"),
  max_turns: rule("fail", "counts"),
  prompt_too_long: rule("fail", "counts"),
  invalid_input: rule("fail", "counts"),
  denied: rule("fail", "counts"),
};
const WITHOUT_KIND = rule("as retry says", "counts");

export const ruleFor = (kind: ErrorKind | null): Rule => (kind === null ? WITHOUT_KIND : RULES[kind]);

/** Whether a completion ends its task for good, where no cancellation was asked for: "without retry" means unless the task has `retry`. */
export function endsTask({ status, error_kind, retryable }: CompleteTask): "yes" | "no" | "without retry" {
  if (status === "success") return "yes";
  const { task } = ruleFor(error_kind);
  if (task === "fail" || (task === "as retry says" && !retryable)) return "yes";
  return task === "as retry says" ? "without retry" : "no";
}

/** The state into which a completion brings its task. `note` is a further audit entry, where the result alone does not explain the state. */
export interface TaskOutcome {
  status: Task["status"];
  retry_at?: SQL | null;
  attempts?: SQL;
  tried_by?: string;
  elsewhere_until?: SQL | null;
  /** Where the task's limits are used up, this kind and `last_error` replace those of the attempt. */
  error_kind?: ErrorKind;
  last_error?: string;
  note?: { action: AuditAction; detail: string };
}

/**
 * What a completion does to its task. A success completes it. An error does what the rule for its kind says; without a kind it fails the task,
 * unless the task has `retry` and the worker did not say that another try is no use: then it is queued again after a growing delay while attempts
 * remain, and else dead. A task whose cancellation was asked for is cancelled in any case. `workerId` is the worker of the attempt.
 */
export function outcomeOf(task: Task, request: CompleteTask, workerId: string): TaskOutcome {
  const { attempts, max_attempts } = task;
  const { status, error_kind: kind } = request;
  if (task.cancel_requested)
    return {
      status: "cancelled",
      note: { action: "task_cancelled", detail: `Cancelled when it ended with ${status}` },
    };
  if (status === "success") return { status: "completed" };
  const { task: next, elsewhereFrom } = ruleFor(kind);
  const ends = endsTask(request);
  if (ends === "yes" || (ends === "without retry" && !task.retry)) return { status: "failed" };
  const reached = limitReached(task.limits, task.usage, usageOf(request.metrics));
  if (reached !== undefined)
    return {
      status: "failed",
      error_kind: "budget_exceeded",
      last_error: `${reached} The last attempt said: ${lastErrorOf(request)}`,
      note: { action: "task_failed", detail: `Not tried again: ${reached}` },
    };
  const tried_by = triedBy(task, workerId);
  if (next === "requeue")
    return {
      status: "queued",
      attempts: sql`${llmTasks.attempts} - 1`,
      retry_at: null,
      elsewhere_until: null,
      tried_by,
      note: { action: "task_requeued", detail: `Queued again, with its attempt given back: ${kind}` },
    };
  const ended = `Attempt ${attempts} of ${max_attempts} ended with an error${kind === null ? "" : `, ${kind}`}`;
  if (attempts >= max_attempts) return { status: "dead", note: { action: "task_dead", detail: ended } };
  const delayMs = delayOf(task.retry ?? DEFAULT_RETRY, attempts);
  const isElsewhere = elsewhereFrom !== undefined && attempts >= elsewhereFrom;
  return {
    status: "queued",
    retry_at: sql`${nowMs} + ${delayMs}::bigint`,
    elsewhere_until: isElsewhere ? sql`${nowMs} + ${delayMs + ELSEWHERE_MS}::bigint` : null,
    tried_by,
    note: { action: "task_requeued", detail: `${ended}; due again in ${delayMs / 1_000} s` },
  };
}

/** The worker that a task is kept to, or kept from, when it is queued again. */
const triedBy = ({ allow_fallback, tried_by }: Task, workerId: string) =>
  allow_fallback ? workerId : (tried_by ?? workerId);

function delayOf({ base_delay_sec, max_delay_sec, backoff }: Retry, attempts: number): number {
  const growth = backoff === "linear" ? attempts : 2 ** (attempts - 1);
  const seconds = Math.min(max_delay_sec, base_delay_sec * growth) * (1 - Math.random() * JITTER);
  return Math.round(seconds * 1_000);
}

const LAST_ERROR_CHARACTERS = 500;

/** The task's `last_error` after a completion: null for a success, else the beginning of its message. */
export function lastErrorOf({ status, error_message }: CompleteTask): string | null {
  if (status === "success") return null;
  const message = withResetTimes(error_message?.trim() ?? "") || "The worker handed in an error without a message.";
  if (message.length <= LAST_ERROR_CHARACTERS) return message;
  // The cut may have split a surrogate pair.
  return `${message.slice(0, LAST_ERROR_CHARACTERS - 1).toWellFormed()}…`;
}
