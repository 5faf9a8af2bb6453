/**
 * What travels: the only place where a row becomes the record of api.md. Column names are field names, so a record is the columns that are named
 * here. A new column is in no answer until it is named here.
 */
import { shownUrl } from "../addresses.ts";
import type { AccountRow, ArtifactRow, AuditRow, LeaseRow, ResultRow, TaskRow, WorkerRow } from "../db/rows.ts";

export const TASK_FIELDS = [
  "id",
  "context_id",
  "agent_slug",
  "prompt",
  "context_hints",
  "policy",
  "desired_format",
  "status",
  "created_at",
  "updated_at",
  "lease_id",
  "worker_id",
  "attempts",
  "max_attempts",
  "idempotency_key",
  "priority",
  "requires",
  "concurrency_key",
  "prefers",
  "queue_ttl_sec",
  "queue_until",
  "not_before",
  "retry",
  "retry_at",
  "progress",
  "cancel_requested",
  "last_error",
  "error_kind",
  "allow_fallback",
  "tried_by",
  "elsewhere_until",
  "limits",
  "usage",
  "resume",
  "agent_kind",
  "structured_input",
  "attachments",
  "tracing",
  "output_schema",
  "keep_transcript",
  "size_bytes",
] as const satisfies readonly (keyof TaskRow)[];
export type Task = Pick<TaskRow, (typeof TASK_FIELDS)[number]>;

export const LEASE_FIELDS = [
  "id",
  "task_id",
  "worker_id",
  "started_at",
  "expires_at",
  "ttl_seconds",
  "status",
  "last_heartbeat",
  "context_id",
] as const satisfies readonly (keyof LeaseRow)[];
export type Lease = Pick<LeaseRow, (typeof LEASE_FIELDS)[number]>;

export const ARTIFACT_FIELDS = [
  "id",
  "task_id",
  "job_id",
  "type",
  "created_at",
  "finalized",
  "url",
  "entity_refs",
  "tags",
  "content",
  "size_bytes",
  "sha256",
  "content_type",
] as const satisfies readonly (keyof ArtifactRow)[];
export type StoredArtifact = Pick<ArtifactRow, (typeof ARTIFACT_FIELDS)[number]>;
/**
 * `accepted` says whether the artifact is what came of its task: false for an attempt that was made again, and for a result that came too late;
 * null where that is not known, as of adopted rows.
 */
export type Artifact = StoredArtifact & { accepted: boolean | null };

export const RESULT_FIELDS = [
  "id",
  "task_id",
  "worker_id",
  "artifact_id",
  "status",
  "error_message",
  "error_kind",
  "metrics",
  "completed_at",
  "lease_id",
  "accepted",
  "incomplete",
] as const satisfies readonly (keyof ResultRow)[];
export type StoredResult = Pick<ResultRow, (typeof RESULT_FIELDS)[number]>;
/** `output` is the text that PostgreSQL holds, in the result's row or in its artifact. */
export type Result = StoredResult & { output: string | null };
export type AuditEntry = AuditRow;

/** A worker as stored, with the number of its leases that are active now. */
export type WorkerWithLoad = WorkerRow & { active_leases: number };
export type Worker = ReturnType<typeof workerView>;

/**
 * An account at an LLM's provider: what is known of its limit and its windows, and who works with it. `paced_until`: it gets one task at a time
 * until then. `updated_at` is null while nothing is known of it.
 */
export type Account = Pick<AccountRow, "id" | "rest" | "windows" | "paced_until"> & {
  workers: string[];
  active_leases: number;
  updated_at: number | null;
};

/** The worker as it travels. Fields that are not named here stay inside the service. */
export function workerView(worker: WorkerWithLoad) {
  return {
    id: worker.id,
    node_id: worker.node_id,
    url: shownUrl(worker.url),
    answered_by: worker.answered_by,
    status: worker.status,
    capabilities: worker.capabilities,
    last_heartbeat: worker.last_heartbeat,
    ip_addrs: worker.ip_addrs,
    obs_count: worker.obs_count,
    db_sha: worker.db_sha,
    registered_at: worker.registered_at,
    agent_version: worker.agent_version,
    os_info: worker.os_info,
    install_method: worker.install_method,
    boot_id: worker.boot_id,
    drain: worker.drain,
    rest: worker.rest,
    account: worker.account ?? worker.id,
    account_rest: worker.account_rest,
    active_leases: worker.active_leases,
  };
}

export interface RuntimeConfig {
  membridge_server_url: string;
  admin_key_masked: string;
  connected: boolean;
  last_test: number | null;
  /** Why it is not connected, in a sentence. */
  reason: string | null;
}

/** Shows the first and last 4 characters of a key around `****`. A key of less than 16 characters is hidden whole, and no key is "". */
export function maskKey(key: string): string {
  if (key === "") return "";
  return key.length < 16 ? "****" : `${key.slice(0, 4)}****${key.slice(-4)}`;
}
