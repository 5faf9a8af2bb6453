import { eq, sql } from "drizzle-orm";
import type { Artifact } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { isUuid } from "../db/ids.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import { type Source, wholeRow } from "../db/pages.ts";
import { NotFound } from "../errors.ts";

/** All artifacts, or those of one task, newest first. */
export function artifactsOf(taskId?: string): Source {
  return {
    table: runtimeArtifacts,
    id: runtimeArtifacts.id,
    time: runtimeArtifacts.created_at,
    where: taskId === undefined ? undefined : eq(runtimeArtifacts.task_id, taskId),
    record: wholeRow(runtimeArtifacts),
    weight: sql`octet_length(${runtimeArtifacts.content})`,
    order: "newest first",
  };
}

/** NotFound: there is no artifact of this id. */
export async function getArtifact(db: Db, id: string): Promise<Artifact> {
  const [artifact] = isUuid(id) ? await db.select().from(runtimeArtifacts).where(eq(runtimeArtifacts.id, id)) : [];
  if (!artifact) throw new NotFound("Artifact not found");
  return artifact;
}
