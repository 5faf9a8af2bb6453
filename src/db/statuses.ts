/** The states of tasks, and the statuses of leases, workers, results and deliveries. */

/** Whether a task in a state waits for a worker, is held by a lease, or needs no more work. */
type Stage = "waiting" | "held" | "ended";
interface State {
  stage: Stage;
  meaning: string;
  /** An operator may queue the task again (queue/requeue.ts). */
  isRequeueable?: true;
}
/** The states of a task, what each means, and its stage: a waiting task has no lease. An end is told as the event `task.<state>`. */
const TASK_STATES = {
  queued: { stage: "waiting", meaning: "it waits for a worker" },
  leased: { stage: "held", meaning: "a worker has it" },
  running: { stage: "held", meaning: "its worker has begun" },
  completed: { stage: "ended", meaning: "its result is there" },
  failed: { stage: "ended", meaning: "its result is an error", isRequeueable: true },
  dead: { stage: "ended", meaning: "it has no attempts left, or was not started in time", isRequeueable: true },
  cancelled: { stage: "ended", meaning: "somebody has cancelled it" },
} as const satisfies Record<string, State>;
export type TaskStatus = keyof typeof TASK_STATES;
export const TASK_STATUSES = Object.keys(TASK_STATES) as [TaskStatus, ...TaskStatus[]];
export const stageOf = (status: TaskStatus): Stage => TASK_STATES[status].stage;
/** What the state means, as the end of a sentence: "it waits for a worker". */
export const meaningOf = (status: TaskStatus): string => TASK_STATES[status].meaning;
const isOf = (stage: Stage) => (status: TaskStatus) => stageOf(status) === stage;
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
