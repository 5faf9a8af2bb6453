/** What a worker is told beside a task, to go on where earlier attempts and tasks ended. */
import type { Lease, LeasedTask, Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { limitsLeft } from "./attempt-usage.ts";
import { sessionsOf } from "./cli-sessions.ts";
import { traceparentOfAttempt } from "./trace-attempt.ts";

export type ResumeData = Pick<LeasedTask, "resume_session" | "limits_left" | "traceparent">;

/**
 * Gives the same tasks, each with what its worker is told beside it: the CLI session to resume, what is left of the task's limits, and the trace. It
 * asks the database only for tasks with `resume`.
 */
export async function withResumeData<Leased extends { task: Task; lease: Pick<Lease, "id"> }>(
  db: Db,
  workerId: string,
  leased: Leased[],
): Promise<(Leased & ResumeData)[]> {
  const contexts = leased.filter(({ task }) => task.resume).map(({ task }) => task.context_id);
  const sessions = await sessionsOf(db, workerId, contexts);
  return leased.map((each) => {
    const { context_id, resume, limits, usage } = each.task;
    const traceparent = traceparentOfAttempt(db, each.task, each.lease.id);
    const session = resume ? sessions.get(context_id) : undefined;
    return {
      ...each,
      ...(session !== undefined && { resume_session: session }),
      ...(limits && { limits_left: limitsLeft(limits, usage) }),
      ...(traceparent !== undefined && { traceparent }),
    };
  });
}
