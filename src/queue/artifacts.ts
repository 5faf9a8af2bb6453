import { and, eq, type SQL, sql } from "drizzle-orm";
import type { ArtifactFilter } from "../contract/filters.ts";
import { ARTIFACT_FIELDS, type Artifact, SLIM_ARTIFACT_FIELDS } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { jsonOf, pickColumns } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { mostBytesInJson, SHORT_FIELDS_BYTES, type Source } from "../db/list-source.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import { NotFound } from "../errors.ts";
import { type LocatedArtifact, locatedColumns } from "../storage/artifact-content.ts";
import { taskHasEnded } from "./fence.ts";

/** True for the artifact that is its task's outcome: its result was accepted, and the task ended under the lease of that result. */
const accepted = sql<boolean | null>`(
  select r.accepted and r.lease_id = t.lease_id and ${taskHasEnded}
  from llm_results r join llm_tasks t on t.id = r.task_id
  where r.task_id = runtime_artifacts.task_id and r.artifact_id = runtime_artifacts.id limit 1)`;

/** The columns of an artifact that answers show. */
export const artifactColumns = pickColumns(runtimeArtifacts, ARTIFACT_FIELDS);

/** About how many bytes an artifact's content takes in JSON, or more, in SQL. */
export const contentBytes = sql`case when ${runtimeArtifacts.content} is null then 0
  else coalesce(${runtimeArtifacts.content_json_bytes}, ${mostBytesInJson(runtimeArtifacts.content)}) end`;

const whole = {
  record: jsonOf(ARTIFACT_FIELDS, sql`${accepted} as accepted`),
  weight: sql`${contentBytes} + octet_length(${runtimeArtifacts.tags}::text) + ${SHORT_FIELDS_BYTES}`,
};
const slim = {
  record: jsonOf(SLIM_ARTIFACT_FIELDS, sql`${accepted} as accepted`),
  weight: sql`octet_length(${runtimeArtifacts.tags}::text) + ${SHORT_FIELDS_BYTES}`,
};

/** The list of the artifacts that match the filter, newest first; slim ones have no content. */
export function artifactsOf(
  { task_id, type, created_after, created_before }: ArtifactFilter = {},
  isSlim = false,
): Source {
  const isOfType = type === undefined ? undefined : eq(runtimeArtifacts.type, type);
  return {
    table: runtimeArtifacts,
    id: runtimeArtifacts.id,
    time: runtimeArtifacts.created_at,
    since: created_after,
    until: created_before,
    parts: [
      task_id === undefined ? { sift: isOfType } : { where: and(eq(runtimeArtifacts.task_id, task_id), isOfType) },
    ],
    ...(isSlim ? slim : whole),
    order: "newest first",
  };
}

/** The artifact with this id. NotFound: there is none. */
export function getArtifact(db: Db, id: string): Promise<Artifact> {
  return find(id, (which) =>
    db
      .select({ ...artifactColumns, accepted })
      .from(runtimeArtifacts)
      .where(which),
  );
}

/** Where the bytes of the artifact with this id are, and none of them. NotFound: there is none. */
export function locateArtifact(db: Db, id: string): Promise<LocatedArtifact> {
  return find(id, (which) => db.select(locatedColumns).from(runtimeArtifacts).where(which));
}

async function find<Found>(id: string, read: (which: SQL) => Promise<Found[]>): Promise<Found> {
  const [found] = isUuid(id) ? await read(eq(runtimeArtifacts.id, id)) : [];
  if (!found) throw new NotFound("Artifact not found");
  return found;
}
