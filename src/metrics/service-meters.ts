/**
 * What one instance counts of its own work. Every transition is counted by the instance that committed it, so that the sum over all instances is
 * the whole. docs/metrics.md describes each.
 */
import { createRegistry } from "./registry.ts";

/** Buckets for calls: from a millisecond to the longest time that a call may take. */
const CALL_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** A task waits for a moment, or for the next morning. */
const WAIT_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
/** A task runs for seconds to hours. */
const RUN_SECONDS = [1, 5, 15, 30, 60, 120, 300, 600, 1_200, 3_600, 14_400];
const LOOP_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600];
const POOL_SECONDS = [0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 10];

const OUTCOMES = ["success", "error"] as const;

export type Meters = ReturnType<typeof createMeters>;

export function createMeters() {
  const registry = createRegistry();
  const { counter, histogram } = registry;
  return {
    registry,
    tasksCreated: counter("bloom_tasks_created_total", "Tasks that were created."),
    taskWait: histogram(
      "bloom_task_wait_seconds",
      "How long tasks were queued and due before they were leased, at each lease.",
      WAIT_SECONDS,
    ),
    taskRun: histogram(
      "bloom_task_run_seconds",
      "From lease to completion, by whether the worker reported a success or an error.",
      RUN_SECONDS,
      { outcome: OUTCOMES },
    ),
    completions: counter(
      "bloom_completions_total",
      "Completions by what became of the task (late: it had gone on without this one), and by the kind of the error.",
      { task_status: "named by code", error_kind: "named by code" },
    ),
    leasesExpired: counter(
      "bloom_leases_expired_total",
      "Leases that ended without a result: overdue, or their worker is gone.",
    ),
    tasksRequeued: counter("bloom_tasks_requeued_total", "Tasks that went back to the queue, by why.", {
      cause: ["lease expired", "error", "handed back", "operator"],
    }),
    tasksDead: counter("bloom_tasks_dead_total", "Tasks that became dead, by why.", {
      cause: ["lease expired", "error", "never started"],
    }),
    tasksRemoved: counter("bloom_tasks_removed_total", "Tasks that were archived and removed (RETENTION_DAYS)."),
    auditEntriesRemoved: counter(
      "bloom_audit_entries_removed_total",
      "Audit entries that were archived and removed (AUDIT_RETENTION_DAYS).",
    ),
    httpRequests: counter(
      "bloom_http_requests_total",
      "Answered requests by route and status; 499: the client went away.",
      {
        route: "named by code",
        status: "named by code",
      },
    ),
    httpDuration: histogram(
      "bloom_http_request_duration_seconds",
      "From a request's arrival to its answer's end, by route; long polls and streams wait on purpose.",
      CALL_SECONDS,
      { route: "named by code" },
    ),
    poolWait: histogram(
      "bloom_db_pool_wait_seconds",
      "How long statements waited for a connection to the database.",
      POOL_SECONDS,
    ),
    loopDuration: histogram("bloom_loop_pass_duration_seconds", "How long passes of the loops took.", LOOP_SECONDS, {
      loop: "named by code",
    }),
    loopFailures: counter("bloom_loop_failures_total", "Passes of the loops that failed.", { loop: "named by code" }),
    webhookAttempts: counter(
      "bloom_webhook_attempts_total",
      "Messages that were sent to webhooks and callbacks, by how it went.",
      { outcome: ["delivered", "failed", "given up"] },
    ),
    callDuration: histogram(
      "bloom_outbound_call_duration_seconds",
      "Calls of Membridge, node agents, the object store and webhooks, by how they ended.",
      CALL_SECONDS,
      { target: ["membridge", "agent", "s3", "webhook"], outcome: OUTCOMES },
    ),
  };
}
