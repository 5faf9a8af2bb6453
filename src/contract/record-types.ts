/** What travels, as types and as the names of columns. The records themselves, field by field, are the schemas beside this file. */
import type { z } from "zod";
import { shownUrl } from "../callable-addresses.ts";
import type { WorkerRow } from "../db/row-types.ts";
import type * as answers from "./answers.ts";
import type { auditRecord } from "./audit-record.ts";
import { leaseRecord } from "./lease-record.ts";
import type { membridgeConfigRecord } from "./membridge-config-record.ts";
import { type artifactRecord, type resultRecord, storedArtifact, storedResult } from "./output-records.ts";
import type { agentHealthAnswer, connectionTest } from "./service-answers.ts";
import { slimArtifactColumns, slimTaskColumns } from "./slim-records.ts";
import { taskRecord } from "./task-record.ts";
import { type accountRecord, workerRecord } from "./worker-record.ts";

export type Task = z.output<typeof taskRecord>;
export type Lease = z.output<typeof leaseRecord>;
export type StoredArtifact = z.output<typeof storedArtifact>;
export type Artifact = z.output<typeof artifactRecord>;
export type StoredResult = z.output<typeof storedResult>;
/** `output` is the text that PostgreSQL holds, in the result's row or in its artifact. */
export type Result = z.output<typeof resultRecord>;
export type AuditEntry = z.output<typeof auditRecord>;
export type Worker = z.output<typeof workerRecord>;
export type Account = z.output<typeof accountRecord>;
export type RuntimeConfig = z.output<typeof membridgeConfigRecord>;
export type TaskWithResult = z.output<typeof answers.taskWithResult>;
export type LeasedTask = z.output<typeof answers.leasedTask>;
export type HeartbeatAnswer = z.output<typeof answers.heartbeatAnswer>;
export type Completed = z.output<typeof answers.completed>;
export type Dispatched = Omit<z.output<typeof answers.dispatched>, "dispatched">;
export type Explanation = z.output<typeof answers.explanation>;
export type Stats = z.output<typeof answers.statsAnswer>;
export type UsageSum = z.output<typeof answers.usageSum>;
export type ConnectionTest = z.output<typeof connectionTest>;
export type AgentHealth = z.output<typeof agentHealthAnswer>;

/** The columns that a record has. Column names are field names. */
const columnsIn = <Shape extends z.core.$ZodShape>({ shape }: z.ZodObject<Shape>) =>
  Object.keys(shape) as (keyof Shape & string)[];

export const TASK_FIELDS = columnsIn(taskRecord);
export const LEASE_FIELDS = columnsIn(leaseRecord);
export const ARTIFACT_FIELDS = columnsIn(storedArtifact);
export const SLIM_TASK_FIELDS = columnsIn(slimTaskColumns);
export const SLIM_ARTIFACT_FIELDS = columnsIn(slimArtifactColumns);
export const RESULT_FIELDS = columnsIn(storedResult);
const WORKER_FIELDS = columnsIn(workerRecord);

/** A worker as stored, with the number of its leases that are active now. */
export type WorkerWithLoad = WorkerRow & { active_leases: number };

/** The worker as it travels. Columns that `workerRecord` does not name stay inside the service. */
export function workerView(worker: WorkerWithLoad): Worker {
  const known: Worker = { ...worker, url: shownUrl(worker.url), account: worker.account ?? worker.id };
  return Object.fromEntries(WORKER_FIELDS.map((field) => [field, known[field]])) as Worker;
}
