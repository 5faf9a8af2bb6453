/** What attempts used, as sums. See `task-tables.ts` for what holds for all tables. */
import { bigint, date, index, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";

const count = () => bigint({ mode: "number" }).notNull().default(0);

/** The figures of an attempt, or of many; dollars are an estimate, in millionths so that sums are exact. */
const figures = () => ({
  attempts: count(),
  duration_ms: count(),
  tokens: count(),
  input_tokens: count(),
  output_tokens: count(),
  cache_read_tokens: count(),
  cache_write_tokens: count(),
  num_turns: count(),
  cost_microusd: count(),
});

/** The names of the figures, for statements of our own. */
export const USAGE_FIGURES = Object.keys(figures());

/** The dimensions of the sums: each attempt counts once in every dimension. */
export const USAGE_DIMENSIONS = ["day", "account", "agent_slug", "context_id", "worker_id", "model"] as const;
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number];

/** An attempt that is in no sum yet. A completion adds a row of its own here, since all completions would wait for each other to change a sum. */
export const newUsage = pgTable("runtime_new_usage", {
  id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  completed_at: epochMs("completed_at").notNull(),
  account: text().notNull(),
  agent_slug: text().notNull(),
  context_id: text().notNull(),
  worker_id: text().notNull(),
  model: text().notNull(),
  ...figures(),
});

/** The sums of a day (UTC) for one value of one dimension; for the dimension `day` that value is the day itself. */
export const usageSums = pgTable(
  "runtime_usage",
  {
    dimension: text({ enum: USAGE_DIMENSIONS }).notNull(),
    day: date({ mode: "string" }).notNull(),
    key: text().notNull(),
    ...figures(),
  },
  // usageBy: the days of a dimension, or of some of its keys
  (sum) => [
    primaryKey({ columns: [sum.dimension, sum.day, sum.key] }),
    index("runtime_usage_by_key").on(sum.dimension, sum.key, sum.day),
  ],
);

/**
 * Sums of a month, which is named by its first day, for every dimension but `day`. They keep a question over years quick: a thousand contexts have
 * 365,000 sums of days in a year, and 12,000 of months.
 */
export const monthlyUsageSums = pgTable(
  "runtime_usage_months",
  {
    dimension: text({ enum: USAGE_DIMENSIONS }).notNull(),
    month: date({ mode: "string" }).notNull(),
    key: text().notNull(),
    ...figures(),
  },
  // usageBy: the whole months of a dimension, or of some of its keys
  (sum) => [
    primaryKey({ columns: [sum.dimension, sum.month, sum.key] }),
    index("runtime_usage_months_by_key").on(sum.dimension, sum.key, sum.month),
  ],
);

/** Sums of all time, for every dimension but `day`. No sum of a range is larger, so that the largest of these lead to the largest of any range. */
export const usageTotals = pgTable(
  "runtime_usage_totals",
  {
    dimension: text({ enum: USAGE_DIMENSIONS }).notNull(),
    key: text().notNull(),
    ...figures(),
  },
  // usageBy: the keys with the most tokens
  (sum) => [
    primaryKey({ columns: [sum.dimension, sum.key] }),
    index("runtime_usage_totals_most").on(sum.dimension, sum.tokens.desc(), sum.key),
  ],
);
