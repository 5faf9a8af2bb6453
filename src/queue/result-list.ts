import { and, eq, inArray, sql } from "drizzle-orm";
import type { ResultFilter } from "../contract/filters.ts";
import { RESULT_FIELDS } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { jsonOf } from "../db/column-lists.ts";
import { isUuid } from "../db/ids.ts";
import { mostBytesInJson, SHORT_FIELDS_BYTES, type Source } from "../db/list-source.ts";
import { llmResults, runtimeArtifacts } from "../db/output-tables.ts";
import { contentBytes } from "./artifacts.ts";
import { getTask } from "./get-task.ts";

const output = sql`coalesce(${llmResults.output}, (select content from ${runtimeArtifacts} where id = ${llmResults.artifact_id}))`;
const outputBytes = sql`case when ${llmResults.output} is not null then ${mostBytesInJson(llmResults.output)}
  else coalesce((select ${contentBytes} from ${runtimeArtifacts} where id = ${llmResults.artifact_id}), 0) end`;

/**
 * The results that workers handed in for the task, newest first, with the outputs that PostgreSQL holds, or slim, without. NotFound: no
 * such task.
 */
export function resultsOf(db: Db, taskId: string, filter: ResultFilter = {}, isSlim = false): Source {
  const { worker_id, status, error_kind } = filter;
  return {
    table: llmResults,
    id: llmResults.id,
    time: llmResults.completed_at,
    parts: [
      {
        where: and(
          isUuid(taskId) ? eq(llmResults.task_id, taskId) : sql`false`,
          worker_id === undefined ? undefined : eq(llmResults.worker_id, worker_id),
          status && inArray(llmResults.status, status),
          error_kind && inArray(llmResults.error_kind, error_kind),
        ),
        isRare: true,
      },
    ],
    whenEmpty: () => getTask(db, taskId),
    record: jsonOf(RESULT_FIELDS, isSlim ? sql`octet_length(${output}) as output_bytes` : sql`${output} as output`),
    weight: sql`${isSlim ? sql`0` : outputBytes} + ${mostBytesInJson(llmResults.error_message)} + ${SHORT_FIELDS_BYTES}`,
    order: "newest first",
  };
}
