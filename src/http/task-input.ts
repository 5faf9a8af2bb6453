import type { z } from "zod";
import type { Task } from "../contract/record-types.ts";
import { NotFound } from "../errors.ts";
import { getTask } from "../queue/get-task.ts";
import { requireOwnTask } from "./require-own-worker.ts";
import type { Call } from "./route.ts";

type InputCall = Call<"/:id/:name", z.ZodType, z.ZodObject>;

/** What a task brings besides its prompt, by the name at which it is read: text as it is, anything else as JSON. */
const INPUTS: Record<string, (task: Task) => string> = {
  context_hints: ({ context_hints }) => context_hints.join("\n"),
  structured_input: ({ structured_input }) => jsonOrNothing(structured_input),
  attachments: ({ attachments }) => (attachments.length > 0 ? JSON.stringify(attachments) : ""),
  tracing: ({ tracing }) => jsonOrNothing(tracing),
  output_schema: ({ output_schema }) => jsonOrNothing(output_schema),
};
const jsonOrNothing = (value: unknown) => (value === null ? "" : JSON.stringify(value));

/** The names of the inputs that the task has. */
export function inputsOf(task: Task): string[] {
  return Object.keys(INPUTS).filter((name) => INPUTS[name]?.(task) !== "");
}

/**
 * `GET /api/runtime/llm-tasks/:id/input/:name`: one input of the task as text, empty where the task has none of it. A worker's key reads the
 * inputs of what it holds. NotFound: no such task, or no such input.
 */
export async function sendTaskInput({ request, response, db, caller, params: { id, name } }: InputCall): Promise<void> {
  await requireOwnTask(db, caller, id, request.get("x-lease-id")?.toLowerCase());
  const task = await getTask(db, id);
  const read = Object.hasOwn(INPUTS, name) ? INPUTS[name] : undefined;
  if (!read) throw new NotFound(`A task has no input "${name}"; there are: ${Object.keys(INPUTS).join(", ")}.`);
  response.type("text/plain").send(read(task));
}
