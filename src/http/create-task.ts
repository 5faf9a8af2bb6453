import { z } from "zod";
import { askerOf, type Caller } from "../caller.ts";
import { taskWithResult } from "../contract/answers.ts";
import {
  type CreateTask,
  createTaskBody,
  ignoredFields,
  repeated,
  type replayTaskBody,
} from "../contract/create-task.ts";
import { creationKey, idempotencyKey } from "../contract/creation-fields.ts";
import { taskRecord } from "../contract/task-record.ts";
import { schemaFault } from "../output-schema/check.ts";
import { createTask } from "../queue/create.ts";
import { getTask } from "../queue/get-task.ts";
import { type Callbacks, callbackFault } from "../webhooks/callback-rules.ts";
import type { Answers } from "./answer-declarations.ts";
import { preferredWait, type ResultAnswers } from "./await-result.ts";
import { InvalidBody, InvalidValue, parseBody, parseHeader } from "./parse-request.ts";
import type { Call } from "./route.ts";
import { sendJson } from "./send-json.ts";

/** What a creation answers. */
export const CREATED: Answers = {
  200: {
    means: "The task that the same request made before; or, with `Prefer: wait`, the task when it has ended.",
    json: z.union([taskRecord, taskWithResult]),
    headers: ["X-Ignored-Fields", "Preference-Applied"],
  },
  201: { means: "The new task.", json: taskRecord, headers: ["X-Ignored-Fields"] },
  202: {
    means: "With `Prefer: wait`: the task has not ended in that time.",
    json: taskWithResult,
    headers: ["X-Ignored-Fields", "Preference-Applied"],
  },
  409: "The idempotency key was used for another request.",
};

type CreateCall = Call<string, typeof createTaskBody, z.ZodObject>;

/**
 * `POST /api/runtime/llm-tasks`: 201 for a new task; 200 for the task that the same request made before under its idempotency key. With the header
 * `Prefer: wait=…` the answer waits for the task's end, as that of `…/result` does.
 */
export function create(results: ResultAnswers, callbacks: Callbacks) {
  return (call: CreateCall) => {
    const sent: unknown = call.request.body;
    return createAs(call, { results, callbacks }, call.body(), { fields: sent, ignored: ignoredFields(sent) });
  };
}

type ReplayCall = Call<"/:id", typeof replayTaskBody, z.ZodObject>;

/**
 * `POST /api/runtime/llm-tasks/:id/replay`: creates a task from the request of an old one, in whatever state, with `changes` over it. A field beside
 * `changes` changes nothing, and is named in `X-Ignored-Fields`.
 */
export function replay(results: ResultAnswers, callbacks: Callbacks) {
  return async (call: ReplayCall) => {
    const { db, params, body } = call;
    const { changes = {} } = body();
    const old = await getTask(db, params.id);
    const task = parseBody(createTaskBody, repeated(old, changes));
    const beside = Object.keys(call.request.body ?? {}).filter((field) => field !== "changes");
    await createAs(
      call,
      { results, callbacks },
      task,
      { fields: changes, ignored: [...beside, ...ignoredFields(changes)] },
      old.id,
    );
  };
}

/** The fields of a request that make a task, and the names of those that were passed over. */
interface Sent {
  fields: unknown;
  ignored: string[];
}

/** Creates `task`, which is what was `sent` once it was checked, and answers. `replayOf` is the id of the task that it repeats. */
async function createAs(
  { request, response, db, caller }: Pick<CreateCall, "request" | "response" | "db" | "caller">,
  { results, callbacks }: { results: ResultAnswers; callbacks: Callbacks },
  task: CreateTask,
  sent: Sent,
  replayOf?: string,
): Promise<void> {
  const header = parseHeader(idempotencyKey, "Idempotency-Key", request);
  const { idempotency_key: field } = parseBody(creationKey, sent.fields);
  if (header !== undefined && field !== undefined && header !== field)
    throw new InvalidValue("The header Idempotency-Key and idempotency_key in the body are two keys.");
  await requireUsable(task, caller, callbacks);
  const waitSeconds = preferredWait(request);
  if (waitSeconds !== undefined) results.requirePlace();
  const created = await createTask(db, caller, task, header ?? field, replayOf);
  const ignored = namesInHeader(sent.ignored);
  const ignoredFields = ignored ? { "X-Ignored-Fields": ignored } : {};
  if (waitSeconds === undefined)
    return sendJson(response.status(created.isNew ? 201 : 200).set(ignoredFields), created.task);
  const headers = { ...ignoredFields, "Preference-Applied": `wait=${waitSeconds}` };
  await results.answer({ response, db, caller }, created.task.id, waitSeconds, headers);
}

/**
 * InvalidBody: outputs cannot be checked against the task's `output_schema`, or its `callback_url` may not be called for the caller.
 * Unavailable: too many schemas wait for their check, or this one had no turn in 10 s, or in `withinMs`.
 */
export async function requireUsable(
  { output_schema: schema, callback_url }: CreateTask,
  caller: Caller | undefined,
  callbacks: Callbacks,
  withinMs?: number,
): Promise<void> {
  const callbackRefusal = callbackFault(callback_url, caller, callbacks);
  if (callbackRefusal !== undefined) throw InvalidBody.of("callback_url", callbackRefusal);
  const fault = schema && (await schemaFault(schema, { of: askerOf(caller), withinMs }));
  if (fault) throw InvalidBody.of("output_schema", `is no JSON Schema to check outputs against: ${fault}`);
}

const LONGEST_HEADER = 1_000;
const LONGEST_NAME = 100;

/** The beginning of a field's name as a client sent it, for an answer: 100 characters. */
export const beginningOf = (name: string): string => name.slice(0, LONGEST_NAME).toWellFormed();

/** The names as a header can carry them: other characters than letters, digits and a few signs as in an address, and no more than fit. */
function namesInHeader(names: string[]): string {
  let header = "";
  for (const name of names) {
    const shown = encodeURIComponent(beginningOf(name)).slice(0, LONGEST_NAME);
    if (header.length + shown.length > LONGEST_HEADER) return `${header}, ...`;
    header += header && ", ";
    header += shown;
  }
  return header;
}
