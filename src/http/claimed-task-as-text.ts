import type { z } from "zod";
import type { LeasedTask, Task } from "../contract/record-types.ts";
import { NotFound } from "../errors.ts";
import { getTask } from "../queue/one-task.ts";
import { requireOwnLease } from "./require-own-worker.ts";
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
function inputsOf(task: Task): string[] {
  return Object.keys(INPUTS).filter((name) => INPUTS[name]?.(task) !== "");
}

/** The headers of a claim that is answered as text. A field that may be large is an input, which the worker reads with a call of its own. */
export function headersOfGrant({
  task,
  lease,
  resume_session,
  limits_left,
  traceparent,
}: LeasedTask): Record<string, unknown> {
  return {
    "Task-Id": task.id,
    "Lease-Id": lease.id,
    "Context-Id": task.context_id,
    "Agent-Slug": task.agent_slug,
    "Desired-Format": task.desired_format,
    "Timeout-Sec": task.policy.timeout_sec,
    Budget: task.policy.budget,
    Model: task.policy.model,
    "Agent-Kind": task.agent_kind,
    Attempt: task.attempts,
    "Ttl-Seconds": lease.ttl_seconds,
    "Resume-Session": resume_session,
    "Max-Usd": limits_left?.max_usd,
    "Max-Tokens": limits_left?.max_tokens,
    "Max-Turns": limits_left?.max_turns,
    Traceparent: traceparent,
    Inputs: inputsOf(task).join(" "),
  };
}

/**
 * `GET /api/runtime/llm-tasks/:id/input/:name`: one input of the task as text, empty where the task has none of it. A worker's key reads the
 * inputs of what it holds. NotFound: no such task, or no such input.
 */
export async function sendTaskInput({ request, response, db, caller, params: { id, name } }: InputCall): Promise<void> {
  await requireOwnLease(db, caller, id, request.get("x-lease-id")?.toLowerCase());
  const task = await getTask(db, id);
  const read = Object.hasOwn(INPUTS, name) ? INPUTS[name] : undefined;
  if (!read) throw new NotFound(`A task has no input "${name}"; there are: ${Object.keys(INPUTS).join(", ")}.`);
  response.type("text/plain").send(read(task));
}
