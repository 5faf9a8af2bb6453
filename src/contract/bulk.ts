/** Calls that create or change many tasks: what they take, and what they answer. */
import { z } from "zod";
import { taskFields } from "./filters.ts";
import { count, flag, id, list } from "./record-fields.ts";
import { optional, textOrEmpty } from "./request-fields.ts";
import { slimTaskRecord } from "./slim-records.ts";

/** Each task is checked by itself, so that a wrong one does not lose the others. */
export const createTasksBody = z.object({
  tasks: z
    .array(z.unknown())
    .min(1)
    .max(1_000)
    .meta({
      description: "Each as the body of a creation, with its key as `idempotency_key`.",
      examples: [[{ context_id: "garden", agent_slug: "writer", prompt: "Write a haiku about the garden." }]],
    }),
});

/** Unknown fields are refused: a filter that is ignored would mean more tasks. */
const filter = z
  .strictObject(taskFields)
  .partial()
  .refine((given) => Object.values(given).some((value) => value !== undefined), "must have one filter at least")
  .meta({
    description: "Which tasks: all that is given must match, and one must be given.",
    examples: [{ context_id: "garden" }],
  });
const bulk = {
  filter,
  dry_run: optional(z.boolean()).describe("True: nothing is changed, and the answer says what would be."),
  limit: optional(z.int().min(1).max(10_000)).describe(
    "How many at most, the oldest first; 1,000 where it is not given.",
  ),
};
export const cancelTasksBody = z.strictObject({
  ...bulk,
  reason: textOrEmpty(1_000).describe("Why they are cancelled: for the audit log and for people."),
});
export const requeueTasksBody = z.strictObject(bulk);
export const replayTasksBody = z.strictObject({
  ...bulk,
  changes: optional(z.record(z.string(), z.unknown())).describe(
    "Fields of a creation, in place of the old tasks' own.",
  ),
  idempotency_key: z
    .string()
    .regex(/^[\x20-\x7e]{1,200}$/, "must be 1 to 200 characters of printable ASCII")
    .meta({
      description: "Names the whole call, so that it can be sent again without replaying anything twice.",
      examples: ["after the outage of January"],
    }),
});

const verdict = z.object({
  code: z.int().meta({ description: "The status that a creation of its own would have had.", examples: [201] }),
  id: id("The task.").nullable(),
  error: z.unknown().describe("Why there is none: as the `error` of a creation; null where there is a task."),
  ignored: list(
    "The names of the fields that were ignored, since creations do not have them: the first 20, 100 characters of each.",
    "priorty",
  ),
});
export const createdTasks = z
  .object({
    created: count("How many are new."),
    repeated: count("How many were created before, by the same request under the same key."),
    refused: count("How many were refused: 4xx."),
    results: z.array(verdict).describe("The verdicts, in the order of the tasks."),
  })
  .meta({ id: "CreatedTasks", description: "What became of each task." });
export const changedTasks = z
  .object({
    dry_run: flag("Nothing was changed."),
    matched: count("How many tasks matched, up to `limit`."),
    changed: count("How many were changed."),
    refused: count("How many could not be changed, or did not match any more at their turn."),
    more: flag("More tasks match, or the time was up: the same call again goes on."),
    examples: z.array(slimTaskRecord).describe("The oldest ten, as they were before."),
  })
  .meta({ id: "ChangedTasks", description: "How many tasks a call has changed." });
export type ChangedTasks = z.output<typeof changedTasks>;
