/** What travels: the only place where a row becomes the record of api.md. Column names are field names, so most rows are their record. */
import { shownUrl } from "../addresses.ts";
import type { AccountRow, ArtifactRow, AuditRow, LeaseRow, ResultRow, TaskRow, WorkerRow } from "../db/rows.ts";

export type Task = TaskRow;
export type Lease = LeaseRow;
/**
 * `accepted` says whether the artifact is what came of its task: false for an attempt that was made again, and for a result that came too late;
 * null where that is not known, as of adopted rows.
 */
export type Artifact = ArtifactRow & { accepted: boolean | null };
export type Result = Omit<ResultRow, "body_sha256">;
export type AuditEntry = AuditRow;

/** A worker as stored, with the number of its leases that are active now. */
export type WorkerWithLoad = WorkerRow & { active_leases: number };
export type Worker = Omit<
  WorkerWithLoad,
  | "self_registered"
  | "refusals"
  | "paused_until"
  | "served_context"
  | "served_at"
  | "fast_failures"
  | "rests"
  | "succeeded_at"
  | "troubles"
  | "account"
  | "account_paced_until"
  | "url_from"
> & { account: string };

/**
 * An account at an LLM's provider: what is known of its limit and its windows, and who works with it. `paced_until`: it gets one task at a time
 * until then. `updated_at` is null while nothing is known of it.
 */
export type Account = Omit<AccountRow, "updated_at"> & {
  workers: string[];
  active_leases: number;
  updated_at: number | null;
};

/** Field by field: whatever else is known of a worker stays here. */
export function workerView(worker: WorkerWithLoad): Worker {
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

export function resultView({ body_sha256: _internal, ...result }: Result & Partial<ResultRow>): Result {
  return result;
}

export interface RuntimeConfig {
  membridge_server_url: string;
  admin_key_masked: string;
  connected: boolean;
  last_test: number | null;
  /** Why it is not connected, in a sentence. */
  reason: string | null;
}

/** The first and last 4 characters around `****`; less than 16 characters would be given away by that, and are all hidden. No key is "". */
export function maskKey(key: string): string {
  if (key === "") return "";
  return key.length < 16 ? "****" : `${key.slice(0, 4)}****${key.slice(-4)}`;
}
