/**
 * The tables of tasks and leases. Those of workers and accounts are in `fleet-tables.ts`, those of outputs in `output-tables.ts`, those of
 * settings in `settings-tables.ts`, that of the audit in `audit-table.ts`, and others in files that are named after them. Column names are
 * the contract's field names, so a row is its record; the files `contract/*-record.ts` say which columns travel. Times are epoch
 * milliseconds by the database's clock (lifecycle.md, invariant 6). There are no foreign keys: adopted databases hold rows whose task or
 * worker is gone, and every row is kept. Indexes for "newest first" are ascending and read backwards: drizzle-kit writes a descending one as
 * NULLS LAST, which `order by … desc` cannot use.
 */

import { sql } from "drizzle-orm";
import { boolean, check, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs } from "./column-types.ts";
import { ONE_RUNNING_PER_KEY } from "./faults.ts";
import type { Attachment, JsonObject, Limits, Policy, Progress, Retry, Tracing, Usage } from "./json-types.ts";
import { DESIRED_FORMATS, ERROR_KINDS } from "./kinds.ts";
import { freeWith } from "./partial-index-conditions.ts";
import { dueOf, keyNameOf, labelSetIdOf, sortTimeOf, takeableFrom } from "./queued-indexes.ts";
import { heldStatuses } from "./status-lists.ts";
import { LEASE_STATUSES, TASK_STATUSES } from "./statuses.ts";

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
    /** The client's name for this creation, by which a repeated one finds the task (lifecycle.md, invariant 9). */
    idempotency_key: text(),
    /** The task counts as this many minutes older than it is. */
    priority: integer().notNull().default(0),
    /** The labels that a worker must have to get the task. */
    requires: jsonb().$type<string[]>().notNull().default([]),
    /** At most one task with the same key is leased or running. */
    concurrency_key: text(),
    /** Labels that the router prefers a worker to have. */
    prefers: jsonb().$type<string[]>().notNull().default([]),
    /** How long the task may wait for its first start, and the time that follows from it. */
    queue_ttl_sec: integer(),
    queue_until: epochMs("queue_until"),
    /** No worker gets the task before that time, which its creator set. */
    not_before: epochMs("not_before"),
    retry: jsonb().$type<Retry>(),
    /** No worker gets the task before that time, which is the delay after an error. It is not `not_before`, since requested fields never change. */
    retry_at: epochMs("retry_at"),
    progress: jsonb().$type<Progress>(),
    /** The task is held, and will be cancelled when its lease ends, however that happens. */
    cancel_requested: boolean().notNull().default(false),
    /** The message of the last attempt that ended without success; null when there was none, or after a success. */
    last_error: text(),
    /** The kind of that failure, where it was said or could be told. */
    error_kind: text({ enum: ERROR_KINDS }),
    /** False: only the worker that had it first gets it again. */
    allow_fallback: boolean().notNull().default(true),
    /** The worker of the last attempt that came to nothing; with `allow_fallback` false, of the first one. */
    tried_by: text(),
    /** Until then that worker leaves it to others, when it claims. */
    elsewhere_until: epochMs("elsewhere_until"),
    /** What all of its attempts may use together, and what they have used; null: no limits, nothing said. */
    limits: jsonb().$type<Limits>(),
    usage: jsonb().$type<Usage>(),
    /** True: the worker goes on with the CLI session of its last task of the same context, where it has one. */
    resume: boolean().notNull().default(false),
    /** The service only keeps these four fields, and passes them on to the worker. */
    agent_kind: text(),
    structured_input: jsonb().$type<unknown>(),
    attachments: jsonb().$type<Attachment[]>().notNull().default([]),
    tracing: jsonb().$type<Tracing>(),
    /** The trace that the task belongs to (tracing/trace-context.ts). It is not a part of the request: to send that again may begin another trace. */
    traceparent: text(),
    /** The JSON Schema that the output of a success must fit (output-schema/check.ts). */
    output_schema: jsonb().$type<JsonObject>(),
    /** All that the CLI printed is kept as an artifact of its own. */
    keep_transcript: boolean().notNull().default(false),
    /** Who is told of the task's end (webhooks/). */
    callback_url: text(),
    /** The size of the request as JSON, which bounds claims and lists. Null in rows of earlier versions. */
    size_bytes: integer(),
  },
  (task) => [
    // The status is known; a held task has a lease, and a queued one has none. PostgreSQL parses a check's text again in each statement that
    // writes: as functions, the two checks take 75 microseconds less of a lifecycle than written out.
    check("llm_tasks_is_possible", sql`bloom_runtime.task_is_possible(${task.status}, ${task.lease_id})`),
    // queue/task-list.ts without a status, and the runs: newest first
    index("llm_tasks_newest").on(task.created_at, task.id),
    // queue/task-list.ts by status, and the counts of queue/stats.ts
    index("llm_tasks_by_status").on(task.status, task.created_at, task.id),
    // queue/queue-order.ts: the first tasks of a set of labels, for all agents or for one
    index("llm_tasks_queued_by_labels")
      .on(labelSetIdOf(task.requires), dueOf(task), sortTimeOf(task), task.id)
      .where(sql`${task.status} = 'queued'`),
    index("llm_tasks_queued_by_agent")
      .on(labelSetIdOf(task.requires), task.agent_slug, dueOf(task), sortTimeOf(task), task.id)
      .where(sql`${task.status} = 'queued'`),
    // queue/claim-statement.ts: the first tasks of each concurrency key
    index("llm_tasks_queued_by_labels_and_key")
      .on(labelSetIdOf(task.requires), keyNameOf(task), dueOf(task), sortTimeOf(task), task.id)
      .where(sql`${task.status} = 'queued'`),
    // queue/newly-due.ts: tasks that are new or due lately; and queue/claim-statement.ts: the first tasks of a context
    index("llm_tasks_queued_lately").on(takeableFrom(task)).where(sql`${task.status} = 'queued'`),
    index("llm_tasks_queued_by_context").on(task.context_id, sortTimeOf(task)).where(sql`${task.status} = 'queued'`),
    // lifecycle.md, invariant 1; and queue/concurrency-key.ts: the keys that are held
    uniqueIndex(ONE_RUNNING_PER_KEY)
      .on(task.concurrency_key)
      .where(sql`${task.concurrency_key} is not null and ${task.status} in (${heldStatuses})`),
    // queue/newly-due.ts: the keys that became free lately, and the first tasks that wait for such a key
    index("llm_tasks_keys_freed_lately")
      .on(task.updated_at)
      .where(sql`${task.concurrency_key} is not null and ${task.status} not in (${heldStatuses})`),
    index("llm_tasks_queued_by_key")
      .on(task.concurrency_key, sortTimeOf(task))
      .where(sql`${task.concurrency_key} is not null and ${task.status} = 'queued'`),
    // queue/expire-queued.ts: tasks that may not wait any longer
    index("llm_tasks_queued_until")
      .on(task.queue_until)
      .where(
        sql`${task.status} = 'queued' and ${task.queue_until} is not null and ${task.attempts} = 0 and ${task.tried_by} is null`,
      ),
    // webhooks/queue-deliveries.ts: is there any task with a callback?
    index("llm_tasks_with_callback").on(task.id).where(sql`${task.callback_url} is not null`),
    // queue/create.ts: one task for a key
    uniqueIndex("llm_tasks_one_per_idempotency_key")
      .on(task.idempotency_key)
      .where(sql`${task.idempotency_key} is not null`),
    // queue/task-list.ts: tasks that nobody holds, by what they are about, newest first
    index("llm_tasks_free_by_context")
      .on(task.context_id, task.created_at, task.id)
      .where(freeWith(task, "context_id")),
    index("llm_tasks_free_by_agent").on(task.agent_slug, task.created_at, task.id).where(freeWith(task, "agent_slug")),
    index("llm_tasks_free_by_worker").on(task.worker_id, task.created_at, task.id).where(freeWith(task, "worker_id")),
    // queue/task-list.ts by the kind of an error, which most tasks do not have
    index("llm_tasks_by_error_kind")
      .on(task.error_kind, task.created_at, task.id)
      .where(sql`${task.error_kind} is not null`),
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
    // A task has at most one active lease (lifecycle.md, invariant 1).
    uniqueIndex("leases_one_active_per_task").on(lease.task_id).where(sql`${lease.status} = 'active'`),
    // fleet/capacity.ts: the active leases of a worker; and the sweep reads all of them. There is no index by expires_at, since each heartbeat
    // changes that column, and would then have to write into all of these indexes.
    index("leases_active_by_worker").on(lease.worker_id).where(sql`${lease.status} = 'active'`),
    // queue/history.ts: the leases of a task
    index("leases_by_task").on(lease.task_id),
    // queue/leases.ts, newest first. Most leases are `released`, so that a list of these uses this index too
    index("leases_newest").on(lease.started_at, lease.id),
    // queue/leases.ts by one of the rare statuses
    index("leases_ended_otherwise")
      .on(lease.status, lease.started_at, lease.id)
      .where(sql`${lease.status} in ('expired', 'failed')`),
  ],
);
