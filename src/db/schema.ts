/**
 * The tables; those of outputs are in `output-tables.ts`. Column names are the contract's field names, so a row is its record; `contract/views.ts` says which columns travel.
 * Times are epoch milliseconds by the database's clock (lifecycle.md, invariant 6). There are no foreign keys: adopted databases hold
 * rows whose task or worker is gone, and every row is kept. Indexes for "newest first" are ascending and read backwards:
 * drizzle-kit writes a descending one as NULLS LAST, which `order by … desc` cannot use.
 */
import { getTableColumns, sql } from "drizzle-orm";
import { bigint, boolean, check, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";
import { dueOf, labelKeyOf, takeableFrom } from "./queued-indexes.ts";
import type { Attachment, Capabilities, Drain, Policy, Progress, Rest, Retry, Tracing } from "./values.ts";
import { DESIRED_FORMATS, LEASE_STATUSES, ROLES, TASK_STATUSES, URL_SOURCES, WORKER_STATUSES } from "./values.ts";

export const llmTasks = pgTable(
  "llm_tasks",
  {
    id: uuid().primaryKey(),
    context_id: text().notNull(),
    agent_slug: text().notNull(),
    prompt: text().notNull(),
    context_hints: jsonb().$type<string[]>().notNull(),
    policy: jsonb().$type<Policy>().notNull(),
    desired_format: text({ enum: DESIRED_FORMATS }).notNull(),
    status: text({ enum: TASK_STATUSES }).notNull(),
    created_at: epochMs("created_at").notNull(),
    updated_at: epochMs("updated_at").notNull(),
    lease_id: uuid(),
    worker_id: text(),
    attempts: integer().notNull(),
    max_attempts: integer().notNull(),
    /** What the client called this creation, so that repeating it finds this task (lifecycle.md, invariant 9). */
    idempotency_key: text(),
    /** Labels that a worker must have to get it. */
    requires: jsonb().$type<string[]>().notNull().default([]),
    /** Nobody gets it before that time. */
    not_before: epochMs("not_before"),
    retry: jsonb().$type<Retry>(),
    /** Nor before that time: the delay after an error. Apart from what was requested, by which a repeated request is known. */
    retry_at: epochMs("retry_at"),
    progress: jsonb().$type<Progress>(),
    /** It is held, and ends as cancelled when its lease ends, in whatever way. */
    cancel_requested: boolean().notNull().default(false),
    /** What was said when an attempt ended without success, most recently; null when none did, or after a success. */
    last_error: text(),
    /** These four are the caller's, and handed to whoever executes the task. */
    agent_kind: text(),
    structured_input: jsonb().$type<unknown>(),
    attachments: jsonb().$type<Attachment[]>().notNull().default([]),
    tracing: jsonb().$type<Tracing>(),
    /** Of what was requested, as JSON: claims and lists are bounded by it. Null in rows of earlier versions. */
    size_bytes: integer(),
  },
  (task) => [
    // A known status; held with a lease, queued without one. PostgreSQL reads a check's text anew in each statement that writes: as functions these
    // two take 75 microseconds less of a lifecycle than written out.
    check("llm_tasks_is_possible", sql`bloom_runtime.task_is_possible(${task.status}, ${task.lease_id})`),
    // listTasks without a filter, and the runs: newest first
    index("llm_tasks_newest").on(task.created_at, task.id),
    // listTasks by status, and the counts of the stats
    index("llm_tasks_by_status").on(task.status, task.created_at, task.id),
    // claim and auto-dispatch: the oldest of a set of labels, of all agents or of one
    index("llm_tasks_queued_by_labels")
      .on(labelKeyOf(task.requires), dueOf(task), task.created_at, task.id)
      .where(sql`${task.status} = 'queued'`),
    index("llm_tasks_queued_by_agent")
      .on(labelKeyOf(task.requires), task.agent_slug, dueOf(task), task.created_at, task.id)
      .where(sql`${task.status} = 'queued'`),
    // the waiting room: what has become takeable lately; and claim: the oldest of one context
    index("llm_tasks_queued_lately").on(takeableFrom(task)).where(sql`${task.status} = 'queued'`),
    index("llm_tasks_queued_by_context").on(task.context_id, task.created_at).where(sql`${task.status} = 'queued'`),
    // createTask: one task for a key
    uniqueIndex("llm_tasks_one_per_idempotency_key")
      .on(task.idempotency_key)
      .where(sql`${task.idempotency_key} is not null`),
  ],
);

export const leases = pgTable(
  "leases",
  {
    id: uuid().primaryKey(),
    task_id: uuid().notNull(),
    worker_id: text().notNull(),
    started_at: epochMs("started_at").notNull(),
    expires_at: epochMs("expires_at").notNull(),
    ttl_seconds: integer().notNull(),
    status: text({ enum: LEASE_STATUSES }).notNull(),
    last_heartbeat: epochMs("last_heartbeat").notNull(),
    context_id: text(),
  },
  (lease) => [
    check("leases_is_possible", sql`bloom_runtime.lease_is_possible(${lease.status})`),
    // One holder (lifecycle.md, invariant 1).
    uniqueIndex("leases_one_active_per_task").on(lease.task_id).where(sql`${lease.status} = 'active'`),
    // Capacity: the active leases of a worker; and the sweep reads them all. There is none by expires_at: a heartbeat changes it, and would have
    // to write into all of these.
    index("leases_active_by_worker").on(lease.worker_id).where(sql`${lease.status} = 'active'`),
    // Everything about one task: its history
    index("leases_by_task").on(lease.task_id),
    // listLeases, newest first; most are `released`, so that those are found here too
    index("leases_newest").on(lease.started_at, lease.id),
    // listLeases by one of the statuses that are rare
    index("leases_ended_otherwise")
      .on(lease.status, lease.started_at, lease.id)
      .where(sql`${lease.status} in ('expired', 'failed')`),
  ],
);

export const workers = pgTable("workers", {
  id: text().primaryKey(),
  node_id: text().notNull(),
  url: text().notNull().default(""),
  /** Who named `url`: the node itself, Membridge, or nobody: then it is the address from which the node registered. */
  url_from: text({ enum: URL_SOURCES }).notNull().default("node"),
  /** The node that answers at `url`, where that is another one: its agent is not called. */
  answered_by: text(),
  status: text({ enum: WORKER_STATUSES }).notNull(),
  capabilities: jsonb().$type<Capabilities>().notNull(),
  /** What the router asks each worker, out of `capabilities`: reading the JSON for each of 24 workers took a seventh of a lease. */
  slots: integer().generatedAlwaysAs(sql`(capabilities ->> 'max_concurrency')::int`),
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
  /** Names one life of the worker's process; another one means that it has restarted. */
  boot_id: text().notNull().default(""),
  drain: jsonb().$type<Drain>(),
  /** A rest whose end has passed counts as none, and stays here until the next one. */
  rest: jsonb().$type<Rest>(),
  /** Tasks in a row that it failed at once, rests in a row for that, and its last success, give or take a minute: see fleet/failures.ts. */
  fast_failures: integer().notNull().default(0),
  rests: integer().notNull().default(0),
  succeeded_at: epochMs("succeeded_at"),
  /** How often in a row its agent has refused a task, and until when it is left alone for that. */
  refusals: integer().notNull().default(0),
  paused_until: epochMs("paused_until"),
  /** The context of the lease that it got last, and when: its CLI session is warm. */
  served_context: text(),
  served_at: epochMs("served_at"),
  /** It has registered over the API, so that Membridge's word may add to what it said of itself, but never lower it. */
  self_registered: boolean().notNull().default(false),
});

const { slots: _slots, has_cli: _cli, labels: _labels, ...said } = getTableColumns(workers);
/** What a worker's row says, without what PostgreSQL computes from it. */
export const workerColumns = said;

export const auditLogs = pgTable(
  "audit_logs",
  {
    id: uuid().primaryKey(),
    timestamp: epochMs("timestamp").notNull(),
    action: text().notNull(),
    entity_type: text().notNull(),
    entity_id: text().notNull(),
    actor: text().notNull(),
    detail: text().notNull(),
    /** The order in which entries were written. Their times would mix it up when the database's clock is set back. */
    seq: bigint({ mode: "number" }).generatedAlwaysAsIdentity().notNull(),
  },
  (entry) => [
    // listAudit, newest first
    uniqueIndex("audit_logs_newest").on(entry.seq),
    // historyOf: what happened to one thing
    index("audit_logs_by_entity").on(entry.entity_id, entry.seq),
  ],
);

export const runtimeSettings = pgTable("runtime_settings", {
  key: text().primaryKey(),
  value: text().notNull(),
});

/** Named keys; the key itself is shown once and stored as its SHA-256, which is enough for 256 random bits. */
export const apiKeys = pgTable(
  "runtime_api_keys",
  {
    id: uuid().primaryKey(),
    name: text().notNull(),
    /** 1 or 2: a name may have two valid keys, so that one can be changed for the other without a gap. */
    slot: integer().notNull().default(1),
    role: text({ enum: ROLES }).notNull(),
    key_sha256: text().notNull().unique(),
    created_at: epochMs("created_at").notNull(),
    last_used_at: epochMs("last_used_at"),
    revoked_at: epochMs("revoked_at"),
  },
  (key) => [
    uniqueIndex("runtime_api_keys_valid_by_name").on(key.name, key.slot).where(sql`${key.revoked_at} is null`),
    check("runtime_api_keys_two_slots", sql`${key.slot} in (1, 2)`),
  ],
);
