/** The states of tasks, and the statuses of leases, workers, results and deliveries. */

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
export const RESULT_STATUSES = ["success", "error"] as const;
/** `pending`: it is tried until it is `delivered`, or `failed` when its time is over. */
export const DELIVERY_STATES = ["pending", "delivered", "failed"] as const;
