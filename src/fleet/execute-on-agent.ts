import { z } from "zod";
import type { Task } from "../contract/record-types.ts";
import { messageOf } from "../errors.ts";
import { storable } from "../storable-text.ts";
import { type AgentCalls, callAgent } from "./agent-http.ts";
import type { AnswerPlace } from "./answer-place.ts";
import { NetworkFault, RedirectFault } from "./bounded-fetch.ts";

/** The longest answer: a task's output and some words around it. */
const MAX_ANSWER_BYTES = 20 * 1024 * 1024;
/** After `timeout_sec` the agent kills its CLI, and then still has to answer. */
const MARGIN_MS = 30_000;

const storableText = z.string().transform(storable);

/**
 * The answer of a node agent. Version 0.4.0 answers when its CLI has ended, with the last lines of the output at most. Newer versions answer at
 * once, with `started: true` and no output. An empty output counts as no output.
 */
const execution = z.object({
  ok: z.boolean(),
  output: storableText.nullish().transform((output) => output || undefined),
  error: storableText.nullish(),
  duration_ms: z.number().min(0).max(Number.MAX_SAFE_INTEGER).nullish().catch(null),
  returncode: z.number().nullish().catch(null),
});
export type Execution = z.output<typeof execution>;

/**
 * How a call failed. `refused`: the agent has not begun the task, unless it has sent a heartbeat. `failed`: likewise, and even if it had begun, it
 * is not at work any more. `unknown`: the agent may be at work.
 */
export type AgentFaultKind = "refused" | "failed" | "unknown";

/** The agent did not execute the task, or it is not known whether it did; `message` says why. */
export class AgentFault extends Error {
  readonly kind: AgentFaultKind;
  constructor(message: string, kind: AgentFaultKind) {
    super(message);
    this.kind = kind;
  }
}

/** The statuses with which a gateway says that the agent does not answer it. */
const GATEWAY_STATUSES = new Set([502, 504]);

/** What an agent is told: the task, and what it needs to go on where earlier work ended. */
interface Order {
  task: Task;
  resume_session?: string | undefined;
  limits_left?: object | undefined;
  /** Where its spans belong in the task's trace. */
  traceparent?: string | undefined;
  /** The place for a long answer, which its caller leaves when the answer is recorded. */
  place?: AnswerPlace | undefined;
}

/**
 * Has the node agent at `url` execute the task. The call lasts as long as the agent keeps it open, at most `timeout_sec` and a margin.
 * Throws an AgentFault.
 */
export async function executeOn(
  { outbound, agentKey, marginMs = MARGIN_MS }: AgentCalls,
  url: string,
  { task, resume_session, limits_left, traceparent, place }: Order,
  runtimeUrl: string | undefined,
  signal: AbortSignal,
): Promise<Execution> {
  const { id, prompt, context_id, agent_slug, desired_format, context_hints, policy } = task;
  const { agent_kind, structured_input, attachments, tracing } = task;
  const order = {
    task_id: id,
    prompt,
    context_id,
    agent_slug,
    desired_format,
    context_hints,
    policy,
    // An undefined field is left out of the JSON, so that agents see only fields that the task has.
    agent_kind: agent_kind ?? undefined,
    structured_input: structured_input ?? undefined,
    attachments: attachments.length > 0 ? attachments : undefined,
    tracing: tracing ?? undefined,
    resume_session,
    limits_left,
    runtime_url: runtimeUrl,
  };
  const { status, json } = await callAgent({ outbound, agentKey }, url, "/execute-task", {
    method: "POST",
    body: JSON.stringify(order),
    timeoutMs: Math.ceil(policy.timeout_sec * 1_000) + marginMs,
    maxBytes: MAX_ANSWER_BYTES,
    place,
    signal,
    traceparent,
  }).catch((error: unknown) => {
    const refused = error instanceof NetworkFault && (!error.sent || error instanceof RedirectFault);
    throw new AgentFault(`The agent cannot be reached: ${messageOf(error)}`, refused ? "refused" : "unknown");
  });
  if (status < 200 || status > 299)
    throw new AgentFault(`The agent answered ${status}`, GATEWAY_STATUSES.has(status) ? "refused" : "failed");
  const answer = execution.safeParse(json);
  if (answer.success) return answer.data;
  throw new AgentFault("The agent's answer is not what an agent answers", "unknown");
}
