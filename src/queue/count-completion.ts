import type { CompleteTask } from "../contract/complete-task.ts";
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";

/**
 * Counts a completion when it is committed. `task` is the task after the completion, or undefined if the completion came too late to change it.
 * `runMs` is the time from lease to completion, where that is known.
 */
export function countCompletion(
  db: Db,
  request: CompleteTask,
  task: Pick<Task, "status" | "error_kind"> | undefined,
  runMs: number | undefined,
): void {
  const { status, error_kind } = task ?? { status: "late", error_kind: request.error_kind };
  db.onCommit(() => {
    const { completions, taskRun, tasksRequeued, tasksDead } = db.meters;
    completions.add(1, { task_status: status, error_kind: error_kind ?? "none" });
    if (runMs !== undefined) taskRun.observe(runMs / 1_000, { outcome: request.status });
    if (status === "queued") tasksRequeued.add(1, { cause: "error" });
    if (status === "dead") tasksDead.add(1, { cause: "error" });
  });
}
