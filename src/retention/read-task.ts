import { eq, getTableColumns, type SQL, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { runtimeArtifacts } from "../db/output-tables.ts";
import type { ArtifactRow } from "../db/row-types.ts";
import { messageOf, NotFound } from "../errors.ts";
import { type Content, contentOf, Damaged, type Facts } from "../storage/artifact-content.ts";
import { keyIn } from "../storage/artifact-key.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { versionOf } from "./old-tasks.ts";

/** A row as the archive has it: a line of JSON with the name of its table. */
export const lineOf = (table: string, row: string) => `{"table":"${table}","row":${row}}\n`;

/** What was read of a task. */
export interface WholeTask {
  id: string;
  /** The version of the rows that were read (old-tasks.ts). */
  version: string;
}

/**
 * Gives the lines of a task: its own row, those of its leases, results and artifacts as they are in PostgreSQL, and the bytes of outputs that are
 * not in these rows. Returns what was read. Undefined, and no line: the task is gone, or bytes of it are damaged, so that it must stay. Throws
 * Unavailable when the object store does not hand the bytes out.
 */
export async function* readTask(
  db: Db,
  store: OutputStorage,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<string, WholeTask | undefined> {
  const { rows } = await db.execute<{ source: string; id: string; row: string | null; version: string }>(sql`
    select source, id, row, version from (select ${versionOf} as version from llm_tasks t where id = ${id}) as v, (
      select 0 as place, 'llm_tasks' as source, ${rowIfShort(sql`octet_length(t.prompt)`)} from llm_tasks t where id = ${id}
      union all select 1, 'leases', ${rowIfShort(sql`0`)} from leases t where task_id = ${id}
      union all select 2, 'llm_results', ${rowIfShort(sql`coalesce(octet_length(t.output), 0) + coalesce(octet_length(t.error_message), 0)`)}
        from llm_results t where task_id = ${id}
      union all select 3, 'runtime_artifacts', ${rowIfShort(sql`octet_length(t.content)`)} from runtime_artifacts t where task_id = ${id}
    ) as found order by place, id`);
  const version = rows[0]?.version;
  const outputs = version && (await outputsOf(db, store, id, signal));
  if (!outputs) return undefined;
  for (const { source, id: rowId, row } of rows) {
    const whole = row ?? (await readRow(db, source, rowId));
    // Somebody has changed the task since, so that it stays.
    if (whole === undefined) return undefined;
    yield lineOf(source, whole);
  }
  for (const { artifactId, content, facts } of outputs)
    yield* bytesOf(artifactId, content.open(facts, undefined, signal));
  return { id, version };
}

/**
 * A row whose long texts (`bytes`) are longer is read by itself. These are a task's prompt, a result's output and error message, and an artifact's
 * content. Ten artifacts of 10 MiB in one answer of the database, where each byte may take six in JSON, took more time than a query has.
 */
const LONG_ROW_BYTES = 10_000;
/** Two columns of the row `t`: its `id`, and the `row` in JSON, which is null where the row is long. */
const rowIfShort = (bytes: SQL) =>
  sql`t.id, case when coalesce(${bytes}, 0) <= ${LONG_ROW_BYTES}::int then to_jsonb(t)::text end as row`;

async function readRow(db: Db, table: string, id: string): Promise<string | undefined> {
  const { rows } = await db.execute<{ row: string }>(
    sql`select to_jsonb(t)::text as row from ${sql.identifier(table)} t where id = ${id}`,
  );
  return rows[0]?.row;
}

interface Output {
  artifactId: string;
  content: Content;
  facts: Facts;
}

/** The task's outputs whose bytes are not in a row, after a look that all of these are right. Undefined: some are damaged or gone. */
async function outputsOf(
  db: Db,
  store: OutputStorage,
  taskId: string,
  signal: AbortSignal,
): Promise<Output[] | undefined> {
  // Without the contents in rows, which are not needed here.
  const artifacts = await db
    .select({
      ...getTableColumns(runtimeArtifacts),
      content: sql<string | null>`case when content is not null then '' end`,
    })
    .from(runtimeArtifacts)
    .where(eq(runtimeArtifacts.task_id, taskId));
  const outputs: Output[] = [];
  try {
    for (const artifact of artifacts.filter((each) => hasBytesElsewhere(each, store))) {
      const content = contentOf(db, store, artifact);
      outputs.push({ artifactId: artifact.id, content, facts: await content.verify(signal) });
    }
    return outputs;
  } catch (error) {
    // Another pass has removed it.
    if (error instanceof NotFound) return undefined;
    if (!(error instanceof Damaged)) throw error;
    const reason = messageOf(error);
    store.log.warn({ task: taskId, reason }, "an old task is not removed, since its output is damaged");
    return undefined;
  }
}

/** True where the bytes are neither in the artifact's row nor in a bucket that is not ours, where they stay. */
function hasBytesElsewhere({ url, content, size_bytes }: ArtifactRow, { bucket }: OutputStorage): boolean {
  if (url !== null) return bucket !== undefined && keyIn(bucket.name, url) !== undefined;
  return content === null && size_bytes !== null;
}

/** The bytes in pieces, in the form of the table for outputs that are too large for one value, in Base64. */
async function* bytesOf(artifactId: string, bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let seq = 0;
  for await (const piece of bytes) {
    const row = { output_id: artifactId, seq, data: piece.toString("base64") };
    yield lineOf("runtime_output_chunks", JSON.stringify(row));
    seq += 1;
  }
}
