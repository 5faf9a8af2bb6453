import { desc, eq } from "drizzle-orm";
import type { Artifact } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import { NotFound } from "../errors.ts";

/** All artifacts, or those of one task, newest first. */
export function listArtifacts(db: Db, taskId?: string): Promise<Artifact[]> {
  return db
    .select()
    .from(runtimeArtifacts)
    .where(taskId ? eq(runtimeArtifacts.task_id, taskId) : undefined)
    .orderBy(desc(runtimeArtifacts.created_at), desc(runtimeArtifacts.id));
}

/** NotFound: there is no artifact of this id. */
export async function getArtifact(db: Db, id: string): Promise<Artifact> {
  const [artifact] = isUuid(id) ? await db.select().from(runtimeArtifacts).where(eq(runtimeArtifacts.id, id)) : [];
  if (!artifact) throw new NotFound("Artifact not found");
  return artifact;
}
