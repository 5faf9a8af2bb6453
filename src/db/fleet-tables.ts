/** The workers, and the accounts at LLM providers that they use. See `task-tables.ts` for what holds for all tables. */
import { getTableColumns, sql } from "drizzle-orm";
import { boolean, doublePrecision, index, integer, jsonb, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";
import type { Capabilities, Drain, Rest, UsageWindows } from "./json-types.ts";
import { URL_SOURCES } from "./kinds.ts";
import { WORKER_STATUSES } from "./statuses.ts";

/** How many attempts in a row must end in trouble before a worker rests. */
export const TROUBLES = 3;

export const workers = pgTable("workers", {
  id: text().primaryKey(),
  node_id: text().notNull(),
  url: text().notNull().default(""),
  /** The source of `url`: the node itself, or Membridge; `caller` means that it was made from the address of the node's request. */
  url_from: text({ enum: URL_SOURCES }).notNull().default("node"),
  /** The name of another node that answers at `url`. While there is one, the agent is not called. */
  answered_by: text(),
  status: text({ enum: WORKER_STATUSES }).notNull(),
  capabilities: jsonb().$type<Capabilities>().notNull(),
  /**
   * These three are computed from `capabilities`, since the router asks each worker for them: to read the JSON of 24 workers took a seventh of a
   * lease. After a rest for trouble, a worker has one slot until it has a success.
   */
  slots: integer().generatedAlwaysAs(
    sql`case when troubles >= ${sql.raw(String(TROUBLES))} then 1 else (capabilities ->> 'max_concurrency')::int end`,
  ),
  has_cli: boolean().generatedAlwaysAs(sql`(capabilities ->> 'claude_cli')::boolean`),
  labels: jsonb().$type<string[]>().generatedAlwaysAs(sql`capabilities -> 'labels'`),
  last_heartbeat: epochMs("last_heartbeat"),
  ip_addrs: jsonb().$type<string[]>().notNull().default([]),
  obs_count: integer().notNull().default(0),
  db_sha: text().notNull().default(""),
  registered_at: epochMs("registered_at").notNull(),
  agent_version: text().notNull().default(""),
  os_info: text().notNull().default(""),
  install_method: text().notNull().default(""),
  /** Identifies a run of the worker's process; a new value means that the worker has restarted. */
  boot_id: text().notNull().default(""),
  drain: jsonb().$type<Drain>(),
  /** A rest whose end has passed does not count, and stays here until the next rest. */
  rest: jsonb().$type<Rest>(),
  /** See fleet/quick-failures.ts: how many tasks in a row failed at once, how many rests in a row followed, and the last success, to the minute. */
  fast_failures: integer().notNull().default(0),
  rests: integer().notNull().default(0),
  succeeded_at: epochMs("succeeded_at"),
  /** Attempts in a row that ended in trouble with the provider, a time-out or a crash: see fleet/rest-after-trouble.ts. */
  troubles: integer().notNull().default(0),
  /** The account at the LLM's provider that its CLI uses. Null: an account of its own, with its name. */
  account: text(),
  /** The rest of its account, and until when the account gets one task at a time: copies of `accounts.rest` and `accounts.paced_until`. */
  account_rest: jsonb().$type<Rest>(),
  account_paced_until: epochMs("account_paced_until"),
  /** How many times in a row the agent has refused a task, and until when it is not called because of that. */
  refusals: integer().notNull().default(0),
  paused_until: epochMs("paused_until"),
  /** The context of the last lease, whose CLI session is warm, and when that lease began. */
  served_context: text(),
  served_at: epochMs("served_at"),
  /** The worker has registered by itself, so that Membridge may add to what it said, but never lower it. */
  self_registered: boolean().notNull().default(false),
});

/**
 * What is known of accounts at LLM providers. An account gets its row when a worker registers with it, at the latest at its first limit or the first
 * report of its windows (fleet/forget-accounts.ts removes it). The row is locked after the task and before the workers that share the account; their
 * rows have copies of what decides whether they get work.
 */
export const accounts = pgTable("runtime_accounts", {
  id: text().primaryKey(),
  rest: jsonb().$type<Rest>(),
  windows: jsonb().$type<UsageWindows>().notNull().default({}),
  paced_until: epochMs("paced_until"),
  updated_at: epochMs("updated_at").notNull(),
});

/** The last CLI session of each context on each worker. */
export const cliSessions = pgTable(
  "runtime_cli_sessions",
  {
    worker_id: text().notNull(),
    context_id: text().notNull(),
    session_id: text().notNull(),
    /** What all of the session has cost so far, as its last run said. */
    cost_usd: doublePrecision(),
    updated_at: epochMs("updated_at").notNull(),
  },
  (session) => [
    // sessionsOf, newestSessionsWorker
    primaryKey({ columns: [session.context_id, session.worker_id] }),
    // forgetSessions
    index("runtime_cli_sessions_updated_at").on(session.updated_at),
  ],
);

const { slots: _slots, has_cli: _cli, labels: _labels, ...stored } = getTableColumns(workers);
/** The columns of a worker without those that PostgreSQL computes. */
export const workerColumns = stored;
