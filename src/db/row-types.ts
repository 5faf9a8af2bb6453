/** What the tables hold, a row each. */

import type { auditLogs } from "./audit-table.ts";
import type { workerColumns, workers } from "./fleet-tables.ts";
import type { llmResults, runtimeArtifacts } from "./output-tables.ts";
import type { leases, llmTasks } from "./task-tables.ts";

export type TaskRow = typeof llmTasks.$inferSelect;
export type LeaseRow = typeof leases.$inferSelect;
export type WorkerRow = Pick<typeof workers.$inferSelect, keyof typeof workerColumns>;
export type ArtifactRow = typeof runtimeArtifacts.$inferSelect;
export type ResultRow = typeof llmResults.$inferSelect;
export type AuditRow = Omit<typeof auditLogs.$inferSelect, "seq" | "xid">;
