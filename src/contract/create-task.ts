/** Turns the fields of a creation (`creation-fields.ts`) into what is stored, and a stored task back into its creation. */
import { z } from "zod";
import type { TaskRow } from "../db/row-types.ts";
import { llmTasks } from "../db/task-tables.ts";
import { creationFields, REQUESTED_COLUMNS, type RequestedColumn, type retry } from "./creation-fields.ts";
import { optional, present } from "./request-fields.ts";

/** The body of a replay: `changes` are fields of a creation that replace the old task's fields. */
export const replayTaskBody = z.object({
  changes: optional(z.record(z.string(), z.unknown())).describe(
    "Fields of a creation, in place of the old task's own; null takes a field away.",
  ),
});

/**
 * A task as it is stored. The labels in `policy` are added to `requires` and `prefers`. `policy.retry` and `policy.allow_fallback` count where the
 * task itself has no such field. A field that is not named here is stored as it was given.
 */
export const createTaskBody = creationFields.transform((given) => {
  const { policy: sent, retry: own, idempotency_key: _key, ...task } = given;
  const { required_labels = [], retry: theirs, ...policy } = sent;
  const wanted = own ?? theirs;
  return {
    ...withDefaults(task),
    policy: present(policy),
    requires: [...new Set([...task.requires, ...required_labels])],
    prefers: [...new Set([...(task.prefers ?? []), ...(policy.preferred_labels ?? [])])],
    max_attempts: wanted?.max_attempts ?? task.max_attempts,
    retry: wanted ? delaysOf(wanted) : null,
    attachments: (task.attachments ?? []).map(present),
    tracing: task.tracing ? present(task.tracing) : null,
    limits: task.limits ? present(task.limits) : null,
    allow_fallback: task.allow_fallback ?? policy.allow_fallback ?? true,
  };
});
export type CreateTask = z.output<typeof createTaskBody>;

type Given = Partial<Record<RequestedColumn, unknown>>;
/** Every field has a value: `null` in its type stands for "not given" where the column may be null. */
type Filled<Fields extends Given> = {
  [Name in keyof Fields & RequestedColumn]-?: undefined extends Fields[Name]
    ? Exclude<Fields[Name], undefined> | Extract<TaskRow[Name], null>
    : Fields[Name];
};

/** What each column holds when its field was not given: the column's default, or null. */
const DEFAULTS = Object.fromEntries(REQUESTED_COLUMNS.map((name) => [name, llmTasks[name].default ?? null]));

/** A copy in which every field that was not given has the value that its column then holds. */
function withDefaults<Fields extends Given>(given: Fields): Filled<Fields> {
  const filled: Given = { ...DEFAULTS };
  for (const name of REQUESTED_COLUMNS) if (given[name] != null) filled[name] = given[name];
  return filled as Filled<Fields>;
}

/** The request that created `task`, as a body of a creation; without its idempotency key. */
function requestOf(task: TaskRow): Record<string, unknown> {
  return Object.fromEntries(REQUESTED_COLUMNS.map((name) => [name, task[name]]));
}

/** The body of a creation that repeats `task` with `changes`. A change that is null takes the field away, as if it had not been sent. */
export function repeated(task: TaskRow, changes: object): Record<string, unknown> {
  const body = Object.entries({ ...requestOf(task), ...changes });
  return Object.fromEntries(body.filter(([, value]) => value !== null));
}

function delaysOf({ max_attempts: _attempts, ...delays }: z.output<typeof retry>) {
  return present(delays);
}

const pathOf = (path: string, field: string) => (path === "" ? field : `${path}.${field}`);

/** The fields of each object in a schema, by its dotted path. Unions and JSON of any form have no fields. */
function fieldsByPath(schema: unknown, path = ""): [path: string, fields: object][] {
  if (schema instanceof z.ZodObject) {
    const inner = Object.entries(schema.shape).flatMap(([field, of]) => fieldsByPath(of, pathOf(path, field)));
    return [[path, schema.shape], ...inner];
  }
  if (schema instanceof z.ZodPipe) return fieldsByPath(schema.in, path);
  const isWrapped =
    schema instanceof z.ZodArray ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodPrefault;
  return isWrapped ? fieldsByPath(schema.unwrap(), path) : [];
}
const KNOWN: Record<string, object> = Object.fromEntries(fieldsByPath(creationFields));

/** The dotted names of the fields of a body that a creation does not know, each once; of a list's items as if they stood in the list itself. */
export function ignoredFields(body: unknown, path = ""): string[] {
  if (Array.isArray(body)) return [...new Set(body.flatMap((item) => ignoredFields(item, path)))];
  const known = KNOWN[path];
  if (!known || typeof body !== "object" || body === null) return [];
  return Object.entries(body).flatMap(([field, value]) => {
    const name = pathOf(path, field);
    return Object.hasOwn(known, field) ? ignoredFields(value, name) : [name];
  });
}
