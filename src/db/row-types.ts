/** What the tables hold, a row each. */

import type { auditLogs } from "./audit-table.ts";
import type { workerColumns, workers } from "./fleet-tables.ts";
import type { runtimeArtifacts } from "./output-tables.ts";
import type { llmTasks } from "./task-tables.ts";

export type TaskRow = typeof llmTasks.$inferSelect;
export type WorkerRow = Pick<typeof workers.$inferSelect, keyof typeof workerColumns>;
export type ArtifactRow = Omit<typeof runtimeArtifacts.$inferSelect, "content_json_bytes">;
export type AuditRow = Omit<typeof auditLogs.$inferSelect, "seq" | "xid">;
