/** Compares what the commands of the shipped workers printed with what the database holds. */
import type pg from "pg";
import type { Finished, OwnWorker } from "./own-workers.ts";

interface ResultRow {
  lease_id: string;
  task_id: string;
  status: string;
  error_message: string | null;
  accepted: boolean;
  content: string | null;
}

/** Each violation in one sentence; none when no result of theirs was lost, mixed up, or thrown away by its worker. */
export async function findViolationsOfOwn(client: pg.Client, workers: OwnWorker[]): Promise<string[]> {
  const names = workers.map(({ name }) => name);
  const { rows } = await client.query<ResultRow>(
    `select r.lease_id, r.task_id, r.status, r.error_message, r.accepted, a.content
     from llm_results r left join runtime_artifacts a on a.id = r.artifact_id where r.worker_id = any($1)`,
    [names],
  );
  const { rows: cancelled } = await client.query<{ id: string }>("select id from llm_tasks where status = 'cancelled'");
  const ends = new Set(cancelled.map(({ id }) => id));
  const finished = workers.flatMap((worker) => worker.finished()).filter(({ taskId }) => !ends.has(taskId));
  return [...mixedUp(rows), ...stoppedForNothing(rows), ...thrownAway(finished, rows)];
}

/** An agent that lost its lease may still complete without naming one: then the task's current lease is meant (lifecycle.md, invariant 7). */
const OF_AN_AGENT = /^agent-\w+ on Prompt /;

/** The command prints of which task and lease its output is. */
function mixedUp(results: ResultRow[]): string[] {
  return results.flatMap(({ lease_id, task_id, status, content }) =>
    status !== "success" || content === `Task ${task_id} under ${lease_id}` || OF_AN_AGENT.test(content ?? "")
      ? []
      : [`the output of task ${task_id} under lease ${lease_id} is ${JSON.stringify(content)}`],
  );
}

/** What a worker stopped because its lease was lost cannot be accepted under that lease: it was not lost. */
function stoppedForNothing(results: ResultRow[]): string[] {
  return results.flatMap(({ lease_id, accepted, error_message }) =>
    accepted && error_message?.includes("its lease was lost")
      ? [`the command under lease ${lease_id} was stopped while its worker held that lease`]
      : [],
  );
}

/** A result that comes late is kept too, so none is missing. */
function thrownAway(finished: Finished[], results: ResultRow[]): string[] {
  const kept = new Set(results.map(({ lease_id }) => lease_id));
  return finished.flatMap(({ worker, taskId, leaseId }) =>
    kept.has(leaseId)
      ? []
      : [`${worker} has executed task ${taskId} under lease ${leaseId}, and its result is nowhere`],
  );
}
