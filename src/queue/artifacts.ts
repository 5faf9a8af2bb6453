import { desc, eq } from "drizzle-orm";
import type { Artifact } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";

/** All artifacts, or those of one task, newest first. */
export function listArtifacts(db: Db, taskId?: string): Promise<Artifact[]> {
  return db
    .select()
    .from(runtimeArtifacts)
    .where(taskId ? eq(runtimeArtifacts.task_id, taskId) : undefined)
    .orderBy(desc(runtimeArtifacts.created_at), desc(runtimeArtifacts.id));
}
