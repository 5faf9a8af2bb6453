/** Records without what may be long, for those who list many: `?fields=slim`. */
import { z } from "zod";
import { artifactRecord, resultRecord, storedArtifact } from "./output-records.ts";
import { count } from "./record-fields.ts";
import { LONG_FIELDS, taskRecord } from "./task-record.ts";

/** The columns of a slim task. */
export const slimTaskColumns = taskRecord.omit(LONG_FIELDS);
export const slimTaskRecord = slimTaskColumns
  .extend({ prompt_bytes: count("The size of the prompt, in bytes.", 31) })
  .meta({ id: "SlimTask", description: "A task without its prompt and what else of its request may be long." });

/** The columns of a slim artifact. `size_bytes` is the size of the content. */
export const slimArtifactColumns = storedArtifact.omit({ content: true });
export const slimArtifactRecord = artifactRecord
  .omit({ content: true })
  .meta({ id: "SlimArtifact", description: "An artifact without its content." });

export const slimResultRecord = resultRecord
  .omit({ output: true })
  .extend({
    output_bytes: count("The size of the output, in bytes, where PostgreSQL holds it as text.", 61).nullable(),
  })
  .meta({ id: "SlimResult", description: "A result without its output." });

/** The records of a list: whole or slim, as `fields` of the call says. */
export const wholeOrSlim = (whole: z.ZodType, slim: z.ZodType) => z.union([whole, slim]);
