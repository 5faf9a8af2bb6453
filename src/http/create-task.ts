import type { z } from "zod";
import { type createTask as creation, creationKey, idempotencyKey, ignoredFields } from "../contract/create-task.ts";
import { schemaFault } from "../output-schema/check.ts";
import { createTask } from "../queue/create.ts";
import { InvalidBody, InvalidValue, parseBody, parseHeader } from "./input.ts";
import { sendJson } from "./json.ts";
import type { Call } from "./route.ts";

type CreateCall = Call<string, typeof creation, z.ZodObject>;

/** `POST /api/runtime/llm-tasks`: 201 for a new task; 200 for the one that the same request made before under its idempotency key. */
export async function create({ request, response, db, caller, body }: CreateCall): Promise<void> {
  const header = parseHeader(idempotencyKey, "Idempotency-Key", request);
  const task = body();
  const { idempotency_key: field } = parseBody(creationKey, request);
  if (header !== undefined && field !== undefined && header !== field)
    throw new InvalidValue("The header Idempotency-Key and idempotency_key in the body are two keys.");
  const fault = task.output_schema && (await schemaFault(task.output_schema));
  if (fault) throw InvalidBody.of("output_schema", `is no JSON Schema to check outputs against: ${fault}`);
  const created = await createTask(db, caller, task, header ?? field);
  const ignored = namesInHeader(ignoredFields(request.body));
  if (ignored) response.set("X-Ignored-Fields", ignored);
  sendJson(response.status(created.isNew ? 201 : 200), created.task);
}

const LONGEST_HEADER = 1_000;
const LONGEST_NAME = 100;

/** The names as a header can carry them: other characters than letters, digits and a few signs as in an address, and no more than fit. */
function namesInHeader(names: string[]): string {
  let header = "";
  for (const name of names) {
    const shown = encodeURIComponent(name.slice(0, LONGEST_NAME).toWellFormed()).slice(0, LONGEST_NAME);
    if (header.length + shown.length > LONGEST_HEADER) return `${header}, ...`;
    header += header && ", ";
    header += shown;
  }
  return header;
}
