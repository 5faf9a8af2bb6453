/** The filters of lists. A call that changes many tasks takes the same ones in its body as a list in its address. */
import { z } from "zod";
import { ERROR_KINDS } from "../db/kinds.ts";
import { DELIVERY_STATES, LEASE_STATUSES, TASK_STATUSES, WORKER_STATUSES } from "../db/statuses.ts";
import { text } from "./request-fields.ts";

/** A query value that is given but empty counts as absent: `?status=` lists everything. */
export const query = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());

/** Each of the fields as a query parameter. */
export function inQuery<Fields extends Record<string, z.ZodType>>(fields: Fields) {
  const entries = Object.entries(fields).map(([name, schema]) => [name, query(schema)]);
  return Object.fromEntries(entries) as { [Name in keyof Fields]: ReturnType<typeof query<Fields[Name]>> };
}

/** A field that takes one or more of `values`: as a text with commas between them, or as a list. */
function someOf<const Values extends readonly string[]>(values: Values, what: string) {
  return z
    .union([z.string(), z.array(z.string()).max(100)], "must be a text or a list of texts, 100 at most")
    .transform((given, context) => {
      const asked = new Set((typeof given === "string" ? given.split(",") : given).map((one) => one.trim()));
      if (asked.size === 0 || [...asked].some((one) => !values.includes(one)))
        context.addIssue({ code: "custom", message: `must be one of ${values.join(", ")}, or several with commas` });
      return values.filter((value): value is Values[number] => asked.has(value));
    })
    .describe(`${what}: ${values.map((value) => `\`${value}\``).join(", ")}, or several of them with commas.`);
}

const MOST_MS = 8.64e15;
const TIME = "must be a time in epoch milliseconds";
const epochMs = z
  .union([z.string().regex(/^\d{1,16}$/, TIME), z.int(TIME).min(0, TIME)], TIME)
  .transform(Number)
  .pipe(z.number().max(MOST_MS, TIME));

/** Rows from `created_after` on, and from before `created_before`. */
const times = {
  created_after: epochMs.describe("From this time on, in epoch milliseconds."),
  created_before: epochMs.describe("From before this time, in epoch milliseconds."),
};
const name = (maxLength: number, description: string) => text(maxLength).min(1).describe(description);
const taskId = z.guid("must be a UUID").describe("The task.");
const contextId = name(512, "The context.");
const workerId = name(128, "The worker.");
const errorKind = someOf(ERROR_KINDS, "Why the last attempt failed");

export const taskFields = {
  status: someOf(TASK_STATUSES, "The state"),
  context_id: contextId,
  agent_slug: name(256, "The agent that the task is for."),
  worker_id: workerId,
  error_kind: errorKind,
  ...times,
  q: name(
    512,
    "A part of the context's or the agent's name, in upper or lower case, or the first 8 or more characters of the id.",
  ),
};
/** A lease's time is that of its start. */
export const leaseFields = {
  status: someOf(LEASE_STATUSES, "The state"),
  task_id: taskId,
  worker_id: workerId,
  context_id: contextId,
  ...times,
};
export const artifactFields = { task_id: taskId, type: name(128, "What the artifact is, as `LLM_RESULT`."), ...times };
export const resultFields = {
  worker_id: workerId,
  status: someOf(["success", "error"], "How the attempt ended"),
  error_kind: someOf(ERROR_KINDS, "Why the attempt failed"),
};
const actions = text(1_000)
  .min(1)
  .transform((given) => given.split(",").map((one) => one.trim()))
  .describe("What was done, as `task_created`; several with commas.");
export const historyFields = {
  action: actions,
  entity_type: name(128, "To what kind of thing it was done, as `llm_task`."),
  actor: name(256, "Who did it: a named key, or a part of the service."),
};
export const auditFields = { entity_id: name(512, "To which thing it was done."), ...historyFields, ...times };
export const deliveryFields = {
  webhook_id: z.guid("must be a UUID").toLowerCase().describe("The webhook."),
  state: z.enum(DELIVERY_STATES).describe("How far the delivery is."),
  task_id: z.guid("must be a UUID").toLowerCase().describe("The task that the event is about."),
};
export const workerFields = {
  status: someOf(WORKER_STATUSES, "The state"),
  account: name(128, "The account that they use."),
  q: name(128, "A part of the name, in upper or lower case."),
};

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
