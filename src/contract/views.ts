/** What travels: the only place where a row becomes the record of contract.md. Column names are field names, so most rows are their record. */
import { shownUrl } from "../config.ts";
import type { ArtifactRow, AuditRow, LeaseRow, ResultRow, TaskRow, WorkerRow } from "../db/rows.ts";

export type Task = TaskRow;
export type Lease = LeaseRow;
export type Artifact = ArtifactRow;
export type Result = Omit<ResultRow, "body_sha256">;
export type AuditEntry = AuditRow;

/** A worker as stored, with the number of its leases that are active now. */
export type WorkerWithLoad = WorkerRow & { active_leases: number };
export type Worker = Omit<
  WorkerWithLoad,
  "self_registered" | "refusals" | "paused_until" | "served_context" | "served_at"
>;

export function workerView({
  self_registered: _own,
  refusals: _refusals,
  paused_until: _paused,
  served_context: _served,
  served_at: _at,
  ...worker
}: WorkerWithLoad): Worker {
  return { ...worker, url: shownUrl(worker.url) };
}

export function resultView({ body_sha256: _internal, ...result }: Result & Partial<ResultRow>): Result {
  return result;
}

export interface RuntimeConfig {
  membridge_server_url: string;
  admin_key_masked: string;
  connected: boolean;
  last_test: number | null;
}

/** The first and last 4 characters around `****`; less than 16 characters would be given away by that, and are all hidden. No key is "". */
export function maskKey(key: string): string {
  if (key === "") return "";
  return key.length < 16 ? "****" : `${key.slice(0, 4)}****${key.slice(-4)}`;
}
