import { asc, sql } from "drizzle-orm";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/schema.ts";
import { isPaused, takesCalls } from "../fleet/agent-refusals.ts";
import { activeLeases, maxConcurrency } from "../fleet/capacity.ts";
import { hasLabels, isDrained, isEligible } from "../fleet/matching.ts";
import { endOf, isResting } from "../fleet/worker-rest.ts";

/** A worker, and the reasons why it has not got a queued task; without any it could take the task now. */
export interface WorkerReasons {
  worker_id: string;
  reasons: string[];
}

/** The most workers that an explanation names. */
const MOST_WORKERS = 200;

const labelsOf = ({ requires }: Task) => sql`${JSON.stringify(requires)}::jsonb`;

/** How many workers could take the task now. */
export async function countAbleWorkers(db: Db, task: Task): Promise<number> {
  const [counted] = await db
    .select({ able: sql<number>`count(*)::int` })
    .from(workers)
    .where(
      sql`${isEligible(labelsOf(task))} and ${activeLeases} < ${maxConcurrency} and (${workers.url} = '' or ${takesCalls})`,
    );
  return counted?.able ?? 0;
}

/**
 * The first 200 workers by name, each with the reasons why it has not got the task. A reason says why the service does not choose the worker by
 * itself: a worker without a CLI can still claim the task, and a caller can lease it to a worker whose agent is not called now.
 */
export async function explainWorkers(db: Db, task: Task): Promise<WorkerReasons[]> {
  const rows = await db
    .select({
      id: workers.id,
      status: workers.status,
      hasCli: workers.has_cli,
      slots: workers.slots,
      last_heartbeat: workers.last_heartbeat,
      drain: workers.drain,
      rest: workers.rest,
      refusals: workers.refusals,
      paused_until: workers.paused_until,
      active: activeLeases,
      missing: sql<string[]>`array(select label from jsonb_array_elements_text(${labelsOf(task)}) as label
        where not ${hasLabels(sql`jsonb_build_array(label)`)})`,
      isResting: sql<boolean>`${isResting}`,
      isDrained: sql<boolean>`${isDrained}`,
      answered_by: workers.answered_by,
      isPaused: sql<boolean>`${workers.url} <> '' and ${isPaused}`,
    })
    .from(workers)
    .orderBy(asc(workers.id))
    .limit(MOST_WORKERS);
  return rows.map(
    ({ id, status, last_heartbeat, drain, rest, active, missing, refusals, paused_until, answered_by, ...is }) => {
      const since = last_heartbeat === null ? "never seen" : `last seen ${new Date(last_heartbeat).toISOString()}`;
      const reasons = [
        status !== "online" && `is ${status}, ${since}`,
        !is.hasCli && "has no CLI, so that it gets only what it claims",
        is.isDrained && `is drained${drain?.reason && `: ${drain.reason}`}`,
        is.isResting && rest !== null && `rests until ${endOf(rest)}: ${rest.reason}`,
        missing.length > 0 && `lacks the label(s) ${missing.join(", ")}`,
        active >= (is.slots ?? 0) && `is full: ${active} of ${is.slots}`,
        answered_by !== null &&
          `has an address at which the node "${answered_by}" answers, so that its agent is not called`,
        is.isPaused && `refused ${refusals} times; left alone until ${new Date(paused_until ?? 0).toISOString()}`,
      ];
      return { worker_id: id, reasons: reasons.filter((reason) => reason !== false) };
    },
  );
}
