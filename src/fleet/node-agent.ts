import { z } from "zod";
import { isAgentUrl } from "../addresses.ts";
import type { Task } from "../contract/views.ts";
import { messageOf } from "../errors.ts";
import { boundedFetch, type FetchOptions, NetworkFault, RedirectFault } from "./bounded-fetch.ts";
import type { Outbound } from "./outbound.ts";

/** A task's output and some words around it. */
const MAX_ANSWER_BYTES = 20 * 1024 * 1024;
/** The agent kills its CLI at `timeout_sec`, and then still has to answer. */
const MARGIN_MS = 30_000;

/** PostgreSQL stores neither NUL nor half a surrogate pair; the rest of such an output is worth keeping. */
const storable = z.string().transform((value) => value.toWellFormed().replaceAll("\0", "\ufffd"));

/**
 * What a node agent answers: 0.4.0 when its CLI has ended, with the last lines of the output at most; newer ones at once, `started: true` and
 * no output. An empty output counts as none.
 */
const execution = z.object({
  ok: z.boolean(),
  output: storable.nullish().transform((output) => output || undefined),
  error: storable.nullish(),
  duration_ms: z.number().min(0).max(Number.MAX_SAFE_INTEGER).nullish().catch(null),
  returncode: z.number().nullish().catch(null),
});
export type Execution = z.output<typeof execution>;

/**
 * How a call failed. `refused`: the agent has not begun, unless it has sent a heartbeat. `failed`: the same, and it is not at work now, whatever it
 * has done before. `unknown`: it may be at work.
 */
export type FaultKind = "refused" | "failed" | "unknown";

/** The agent did not execute the task, or nobody knows; `message` says why. */
export class AgentFault extends Error {
  readonly kind: FaultKind;
  constructor(message: string, kind: FaultKind) {
    super(message);
    this.kind = kind;
  }
}

/** What a gateway says of an agent that does not answer it. */
const GATEWAY_STATUSES = new Set([502, 504]);

/** How node agents are called. */
export interface AgentCalls {
  outbound: Outbound;
  /** MEMBRIDGE_AGENT_KEY; "" sends none. */
  agentKey: string;
  /** How long after `timeout_sec` an agent may still answer, in milliseconds. */
  marginMs?: number;
  /** How long an agent's own completion is waited for after its answer, in milliseconds. */
  ownCompletionMs?: number;
}

/**
 * Lets the node agent at `url` execute the task; the call lasts as long as the agent keeps it open, up to `timeout_sec` and a margin.
 * Throws an AgentFault.
 */
export async function executeOn(
  { outbound, agentKey, marginMs = MARGIN_MS }: AgentCalls,
  url: string,
  task: Task,
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
    // Undefined is left out: what the task does not have, agents do not know either.
    agent_kind: agent_kind ?? undefined,
    structured_input: structured_input ?? undefined,
    attachments: attachments.length > 0 ? attachments : undefined,
    tracing: tracing ?? undefined,
    runtime_url: runtimeUrl,
  };
  const { status, json } = await callAgent({ outbound, agentKey }, url, "/execute-task", {
    method: "POST",
    body: JSON.stringify(order),
    timeoutMs: Math.ceil(policy.timeout_sec * 1_000) + marginMs,
    maxBytes: MAX_ANSWER_BYTES,
    signal,
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

/**
 * Calls the agent at `url`; `json` is undefined where its answer is no JSON. The key goes to this address only: a redirect is not followed.
 * Throws a NetworkFault, or the reason of `signal` when that was aborted.
 */
export async function callAgent(
  { outbound, agentKey }: AgentCalls,
  url: string,
  path: string,
  { body, ...options }: Omit<FetchOptions, "headers">,
): Promise<{ status: number; json: unknown }> {
  // The path must not become a part of a query. An adopted database may hold any address.
  if (!isAgentUrl(url)) throw new NetworkFault("its address is not one that may be called", false);
  const headers = new Headers({
    accept: "application/json",
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(agentKey && { "x-membridge-agent": agentKey }),
  });
  const { status, text } = await boundedFetch(outbound, `${url.replace(/\/+$/, "")}${path}`, {
    ...options,
    headers,
    ...(body !== undefined && { body }),
  });
  return { status, json: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is no answer of an agent; the caller says so.
    return undefined;
  }
}
