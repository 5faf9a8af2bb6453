import { z } from "zod";
import { TASK_STATUSES } from "../../db/statuses.ts";
import { InvalidValue } from "../parse-request.ts";

/** A tool: one of the service's calls, and what a client is told of it. Its arguments are what the path, the query and the body of the call take. */
export interface Tool {
  name: string;
  /** The name of the declared call. */
  route: string;
  title: string;
  description: string;
  /** What calling it may do, for clients that ask a person first. */
  annotations: { readOnlyHint: boolean; destructiveHint?: boolean; idempotentHint?: boolean };
  /** Query parameters that the tool sets: the client cannot choose `fields`, and need not choose the others. */
  query?: Record<string, string>;
  /** The name of the list in the answer, where the call answers an array. */
  listName?: string;
  /** The call is made again and again until the task has ended, for as long as the argument `wait_seconds` says. */
  waits?: true;
}

const READS = { readOnlyHint: true };

export const TOOLS: readonly Tool[] = [
  {
    name: "create_task",
    route: "createTask",
    title: "Hand a task to the fleet",
    description:
      "Queues a task for an LLM worker of the fleet and answers at once with its record; wait_for_task gives what comes of it. `context_id` groups tasks that belong together, `agent_slug` names the kind of work, `prompt` is the whole task: the worker sees nothing of this conversation. `policy.timeout_sec` is how long one attempt may run (120 where it is left out), `policy.model` the model, `requires` labels that a worker must have, `output_schema` a JSON Schema that the answer must fit. With an `idempotency_key` the same request made twice gives the same task.",
    annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
  },
  {
    name: "wait_for_task",
    route: "getTaskResult",
    title: "Wait for what comes of a task",
    description:
      "Waits until the task has ended, and answers with the task, its result (`output`, or `error_message`) and its artifact. When `wait_seconds` have passed before that, `result` is null and the task's status says how far it is: call it again. Ending the wait does not end the task.",
    annotations: READS,
    waits: true,
  },
  {
    name: "get_task",
    route: "getTask",
    title: "Read a task",
    description: "The record of a task: its status, who works on it, its attempts.",
    annotations: READS,
  },
  {
    name: "list_tasks",
    route: "listTasks",
    title: "List tasks",
    description: `Tasks, the newest first, without their prompts. All filters may be combined: \`status\` (${TASK_STATUSES.join(", ")}; several with commas), \`q\` (part of the context's or agent's name, or how the id begins), times in epoch milliseconds. \`next\` of an answer is the \`after\` of the page behind it.`,
    annotations: READS,
    query: { fields: "slim", limit: "20" },
    listName: "tasks",
  },
  {
    name: "explain_task",
    route: "explainTask",
    title: "Explain why a task is where it is",
    description:
      "Says in sentences why a task is in its state: why it waits and for whom, who works on it, or why it failed, and what would change that.",
    annotations: READS,
  },
  {
    name: "cancel_task",
    route: "cancelTask",
    title: "Cancel a task",
    description:
      "Ends a task that is queued, or has its worker stop what it does of it. A cancelled task does not run again, and what was done of it is lost.",
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  },
  {
    name: "list_workers",
    route: "listWorkers",
    title: "List the workers",
    description:
      "The workers of the fleet: whether they are online, what they can do, how much they do now, and until when they rest.",
    annotations: READS,
    query: { limit: "50" },
    listName: "workers",
  },
  {
    name: "list_accounts",
    route: "listAccounts",
    title: "List the accounts at LLM providers",
    description:
      "The accounts that workers use: how much of their allowance is used, and until when an account at its limit rests.",
    annotations: READS,
    query: { limit: "50" },
    listName: "accounts",
  },
];

/** The longest wait in one call of a tool. Clients wait for a minute or longer, and longer still while they hear of progress. */
const LONGEST_WAIT_SECONDS = 600;

/** The description of `wait_seconds` for a tool that waits, in place of the description that the call has. */
export const waitArgument = z
  .number()
  .min(0)
  .max(LONGEST_WAIT_SECONDS)
  .default(25)
  .describe("How long to wait at most, in seconds. Clients with a limit of their own need less than that.");

/** How long the caller wants to wait, in seconds. Throws InvalidValue. */
export function parseWait(given: unknown): number {
  const parsed = waitArgument.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new InvalidValue(`wait_seconds must be a number from 0 to ${LONGEST_WAIT_SECONDS}.`);
}
