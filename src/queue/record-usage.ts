import { type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Metrics } from "../db/values.ts";
import { usageOf } from "./usage.ts";

/**
 * The INSERT of what an attempt used, for the sums. `task` is a table or CTE with a row for its task: `agent_slug`, `context_id`, `worker_id` and
 * `updated_at`, the time of the completion. `usage` is JSON of `usageOf`.
 */
export function insertUsage(task: SQL, usage: SQL, model: SQL): SQL {
  return sql`insert into runtime_new_usage (completed_at, account, agent_slug, context_id, worker_id, model, attempts, duration_ms, tokens,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, num_turns, cost_microusd)
      select task.updated_at, coalesce(${workers.account}, task.worker_id), task.agent_slug, task.context_id, task.worker_id,
        ${model}, used.attempts, used.duration_ms, used.tokens, used.input_tokens, used.output_tokens, used.cache_read_tokens,
        used.cache_write_tokens, used.num_turns, round(used.cost_usd * 1000000)
      from ${task} as task left join ${workers} on ${workers.id} = task.worker_id,
        jsonb_to_record(${usage}::jsonb) as used (attempts bigint, duration_ms bigint, tokens bigint, input_tokens bigint, output_tokens bigint,
          cache_read_tokens bigint, cache_write_tokens bigint, num_turns bigint, cost_usd numeric)`;
}

/** The sum of a task's usage and of an attempt's, as JSON. */
export const addUsage = (before: SQL, usage: SQL) => sql`bloom_runtime.add_usage(${before}, ${usage}::jsonb)`;

/** The model of an attempt, or "" where it was not said. */
export const modelOf = ({ model }: Metrics) => model ?? "";

/** Writes down what an attempt of `workerId` at the task used, where its metrics say so. */
export async function recordUsage(tx: Db, taskId: string, workerId: string, metrics: Metrics): Promise<void> {
  const usage = usageOf(metrics);
  if (!usage) return;
  const task = sql`(select agent_slug, context_id, ${workerId}::text as worker_id, ${nowMs} as updated_at from llm_tasks where id = ${taskId})`;
  await tx.execute(insertUsage(task, sql`${JSON.stringify(usage)}`, sql`${modelOf(metrics)}::text`));
}
