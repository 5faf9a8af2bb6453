/** The filters of lists. A call that changes many tasks takes the same ones in its body as a list in its address. */
import { z } from "zod";
import { DELIVERY_STATES, ERROR_KINDS, LEASE_STATUSES, TASK_STATUSES, WORKER_STATUSES } from "../db/column-values.ts";
import { text } from "./fields.ts";

/** A query value that is given but empty counts as absent: `?status=` lists everything. */
export const query = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());

/** Each of the fields as a query parameter. */
export function inQuery<Fields extends Record<string, z.ZodType>>(fields: Fields) {
  const entries = Object.entries(fields).map(([name, schema]) => [name, query(schema)]);
  return Object.fromEntries(entries) as { [Name in keyof Fields]: ReturnType<typeof query<Fields[Name]>> };
}

/** A field that takes one or more of `values`: as a text with commas between them, or as a list. */
function someOf<const Values extends readonly string[]>(values: Values) {
  return z.union([z.string(), z.array(z.string())], "must be a text or a list of texts").transform((given, context) => {
    const asked = new Set((typeof given === "string" ? given.split(",") : given).map((one) => one.trim()));
    if (asked.size === 0 || [...asked].some((one) => !values.includes(one)))
      context.addIssue({ code: "custom", message: `must be one of ${values.join(", ")}, or several with commas` });
    return values.filter((value): value is Values[number] => asked.has(value));
  });
}

const MOST_MS = 8.64e15;
const TIME = "must be a time in epoch milliseconds";
const epochMs = z
  .union([z.string().regex(/^\d{1,16}$/, TIME), z.int(TIME).min(0, TIME)], TIME)
  .transform(Number)
  .pipe(z.number().max(MOST_MS, TIME));

/** Rows from `created_after` on, and from before `created_before`. */
const times = { created_after: epochMs, created_before: epochMs };
const name = (maxLength: number) => text(maxLength).min(1);

/** `q`: part of the context's or the agent's name, in upper or lower case, or how the id begins. */
export const taskFields = {
  status: someOf(TASK_STATUSES),
  context_id: name(512),
  agent_slug: name(256),
  worker_id: name(128),
  error_kind: someOf(ERROR_KINDS),
  ...times,
  q: name(512),
};
/** A lease's time is that of its start. */
export const leaseFields = {
  status: someOf(LEASE_STATUSES),
  task_id: z.guid("must be a UUID"),
  worker_id: name(128),
  context_id: name(512),
  ...times,
};
export const artifactFields = { task_id: z.guid("must be a UUID"), type: name(128), ...times };
export const resultFields = {
  worker_id: name(128),
  status: someOf(["success", "error"]),
  error_kind: someOf(ERROR_KINDS),
};
/** Actions with commas between them. */
const actions = text(1_000)
  .min(1)
  .transform((given) => given.split(",").map((one) => one.trim()));
export const historyFields = { action: actions, entity_type: name(128), actor: name(256) };
export const auditFields = { entity_id: name(512), ...historyFields, ...times };
export const deliveryFields = {
  webhook_id: z.guid("must be a UUID").toLowerCase(),
  state: z.enum(DELIVERY_STATES),
  task_id: z.guid("must be a UUID").toLowerCase(),
};
export const workerFields = { status: someOf(WORKER_STATUSES), account: name(128), q: name(128) };

/** What is kept of a filter that was checked: each field where it was given. */
type Given<Fields extends Record<string, z.ZodType>> = { [Name in keyof Fields]?: z.output<Fields[Name]> | undefined };
export type TaskFilter = Given<typeof taskFields>;
export type LeaseFilter = Given<typeof leaseFields>;
export type ArtifactFilter = Given<typeof artifactFields>;
export type ResultFilter = Given<typeof resultFields>;
export type HistoryFilter = Given<typeof historyFields>;
export type AuditFilter = Given<typeof auditFields>;
export type DeliveryFilter = Given<typeof deliveryFields>;
export type WorkerFilter = Given<typeof workerFields>;
