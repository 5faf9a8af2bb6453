/** The lists of names: the states of tasks, the statuses of all else, and the other columns that hold one of a few names. */

/** Whether a task in a state waits for a worker, is held by a lease, or needs no more work. */
type StateKind = "waiting" | "held" | "ended";
interface State {
  kind: StateKind;
  meaning: string;
  /** An operator may queue the task again (queue/requeue.ts). */
  isRequeueable?: true;
}
/** The states of a task, what each means, and of which kind it is: a waiting task has no lease. An end is told as the event `task.<state>`. */
const TASK_STATES = {
  queued: { kind: "waiting", meaning: "it waits for a worker" },
  leased: { kind: "held", meaning: "a worker has it" },
  running: { kind: "held", meaning: "its worker has begun" },
  completed: { kind: "ended", meaning: "its result is there" },
  failed: { kind: "ended", meaning: "its result is an error", isRequeueable: true },
  dead: { kind: "ended", meaning: "it has no attempts left, or was not started in time", isRequeueable: true },
  cancelled: { kind: "ended", meaning: "somebody has cancelled it" },
} as const satisfies Record<string, State>;
export type TaskStatus = keyof typeof TASK_STATES;
export const TASK_STATUSES = Object.keys(TASK_STATES) as [TaskStatus, ...TaskStatus[]];
export const kindOf = (status: TaskStatus): StateKind => TASK_STATES[status].kind;
/** What the state means, as the end of a sentence: "it waits for a worker". */
export const meaningOf = (status: TaskStatus): string => TASK_STATES[status].meaning;
const isOf = (kind: StateKind) => (status: TaskStatus) => kindOf(status) === kind;
/** A task in one of these states is held by a lease. */
export const HELD_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter(isOf("held"));
/** A task in one of these states has not ended. */
export const OPEN_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter((status) => !isOf("ended")(status));
/** A task in one of these states has ended. */
export const ENDED_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter(isOf("ended"));
/** A task in one of these states may be queued again. */
export const REQUEUEABLE_STATUSES: readonly TaskStatus[] = TASK_STATUSES.filter(
  (status) => "isRequeueable" in TASK_STATES[status],
);
/** All states with their meanings, for documents. */
export const STATES_IN_WORDS = TASK_STATUSES.map((status) => `\`${status}\`: ${meaningOf(status)}`).join("; ");
export const LEASE_STATUSES = ["active", "expired", "released", "failed"] as const;
export const WORKER_STATUSES = ["online", "offline", "syncing", "error", "unknown"] as const;
export const URL_SOURCES = ["node", "caller", "membridge"] as const;
export const DESIRED_FORMATS = ["json", "text", "markdown"] as const;
export const RESULT_STATUSES = ["success", "error"] as const;
/** `pending`: it is tried until it is `delivered`, or `failed` when its time is over. */
export const DELIVERY_STATES = ["pending", "delivered", "failed"] as const;
/** What a named key may do; each route declares which roles may call it (`access` in http/route.ts). */
export const ROLES = ["submit", "work", "read", "admin"] as const;
export type Role = (typeof ROLES)[number];

/**
 * The kinds of rest. `failures`: the worker's tasks failed at once while other workers' tasks did not. `worker`: the worker asked for the rest.
 * `auth`: its CLI's account gives no access: it is not logged in, or not paid for. `no_cli`: its CLI is not there.
 * `trouble`: three of its attempts in a row ended in trouble with the provider, a time-out or a crash. `rate_limited`: its account is at its limit.
 */
export const REST_KINDS = ["failures", "worker", "auth", "no_cli", "trouble", "rate_limited"] as const;
export type RestKind = (typeof REST_KINDS)[number];

/** Why an attempt failed, as the worker or the reader of its CLI's output says; queue/outcome.ts says what each kind does. */
export const ERROR_KINDS = [
  "rate_limited",
  "auth",
  "overloaded",
  "provider_error",
  "timeout",
  "parse_error",
  "budget_exceeded",
  "max_turns",
  "prompt_too_long",
  "invalid_input",
  "no_cli",
  "crashed",
  "denied",
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];
