import { eq, sql } from "drizzle-orm";
import { ARTIFACT_FIELDS, type Artifact } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { jsonOf, pickColumns } from "../db/columns.ts";
import { isUuid } from "../db/ids.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { Source } from "../db/pages.ts";
import { NotFound } from "../errors.ts";
import { taskHasEnded } from "./fence.ts";

/** True for the artifact that is its task's outcome: its result was accepted, and the task ended under the lease of that result. */
const accepted = sql<boolean | null>`(
  select r.accepted and r.lease_id = t.lease_id and ${taskHasEnded}
  from llm_results r join llm_tasks t on t.id = r.task_id
  where r.task_id = runtime_artifacts.task_id and r.artifact_id = runtime_artifacts.id limit 1)`;

/** What Drizzle reads of an artifact that is answered. */
export const artifactColumns = pickColumns(runtimeArtifacts, ARTIFACT_FIELDS);

/** The list of all artifacts, or of the artifacts of a task, newest first. */
export function artifactsOf(taskId?: string): Source {
  return {
    table: runtimeArtifacts,
    id: runtimeArtifacts.id,
    time: runtimeArtifacts.created_at,
    where: taskId === undefined ? undefined : eq(runtimeArtifacts.task_id, taskId),
    record: jsonOf(ARTIFACT_FIELDS, sql`${accepted} as accepted`),
    weight: sql`coalesce(octet_length(${runtimeArtifacts.content}), 0) + 700`,
    order: "newest first",
  };
}

/** The artifact with this id. NotFound: there is none. */
export async function getArtifact(db: Db, id: string): Promise<Artifact> {
  const found = isUuid(id)
    ? await db
        .select({ ...artifactColumns, accepted })
        .from(runtimeArtifacts)
        .where(eq(runtimeArtifacts.id, id))
    : [];
  const [artifact] = found;
  if (!artifact) throw new NotFound("Artifact not found");
  return artifact;
}
