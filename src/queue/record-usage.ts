import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Metrics } from "../db/json-types.ts";
import { USAGE_FIGURES } from "../db/usage-tables.ts";
import { usageOf } from "./attempt-usage.ts";

/** The figures, with commas between them, each in the form of SQL that `form` gives it. */
export const figureList = (form: (figure: string) => string, figures: readonly string[] = USAGE_FIGURES) =>
  sql.raw(figures.map(form).join(", "));

/**
 * The INSERT of what attempts used, for the sums. `tasks` is a query with a row for each: `agent_slug`, `context_id`, `worker_id`, `updated_at`,
 * which is the time of the completion, `model` ("" where it was not said), and `used`, which is JSON of `usageOf`.
 */
export function insertUsage(tasks: SQL): SQL {
  return sql`insert into runtime_new_usage (completed_at, account, agent_slug, context_id, worker_id, model, ${figureList(String)})
      select task.updated_at, coalesce(${workers.account}, task.worker_id), agent_slug, context_id, task.worker_id,
        model, ${figureList((figure) => (figure === "cost_microusd" ? "round((used ->> 'cost_usd')::numeric * 1000000)" : `(used ->> '${figure}')::bigint`))}
      from ${tasks} as task left join ${workers} on ${workers.id} = task.worker_id`;
}

/** The sum of a task's usage and of an attempt's, as JSON. */
export const addUsage = (before: SQL, usage: SQL) => sql`bloom_runtime.add_usage(${before}, ${usage}::jsonb)`;

/** The model of an attempt, or "" where it was not said. */
export const modelOf = ({ model }: Metrics) => model ?? "";

/** Writes down what an attempt of `workerId` at the task used, where its metrics say so. */
export async function recordUsage(tx: Db, taskId: string, workerId: string, metrics: Metrics): Promise<void> {
  const usage = usageOf(metrics);
  if (!usage) return;
  const used = sql`(select agent_slug, context_id, ${workerId}::text as worker_id, ${nowMs} as updated_at, ${modelOf(metrics)}::text as model,
    ${JSON.stringify(usage)}::jsonb as used from llm_tasks where id = ${taskId})`;
  await tx.execute(insertUsage(used));
}
