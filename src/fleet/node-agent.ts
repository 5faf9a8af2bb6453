import { z } from "zod";
import type { Task } from "../contract/views.ts";
import { messageOf } from "../errors.ts";
import { boundedFetch, NetworkFault, RedirectFault } from "./bounded-fetch.ts";
import type { Outbound } from "./outbound.ts";

/** A task's output and some words around it. */
const MAX_ANSWER_BYTES = 20 * 1024 * 1024;
/** The agent kills its CLI at `timeout_sec`, and then still has to answer. */
const MARGIN_MS = 30_000;

/** What a node agent answers when the Claude CLI has ended (contract.md, "What the node agents really do"). */
const execution = z.object({
  ok: z.boolean(),
  output: z.string().nullish(),
  error: z.string().nullish(),
  duration_ms: z.number().min(0).nullish(),
  returncode: z.number().nullish(),
});
export type Execution = z.output<typeof execution>;

/** The agent did not execute the task, or nobody knows; `message` says why. `refused` when it certainly has not begun. */
export class AgentFault extends Error {
  readonly refused: boolean;
  constructor(message: string, refused: boolean) {
    super(message);
    this.refused = refused;
  }
}

/** How node agents are called. */
export interface AgentCalls {
  outbound: Outbound;
  /** MEMBRIDGE_AGENT_KEY; "" sends none. */
  agentKey: string;
}

/**
 * Lets the node agent at `url` execute the task; the call lasts as long as that does, up to `timeout_sec` and a margin. The key goes to
 * this address only: a redirect is an answer like any other that is not 2xx. Throws an AgentFault.
 */
export async function executeOn(
  { outbound, agentKey }: AgentCalls,
  url: string,
  task: Task,
  runtimeUrl: string | undefined,
  signal: AbortSignal,
): Promise<Execution> {
  const { id, prompt, context_id, agent_slug, desired_format, context_hints, policy } = task;
  const order = {
    task_id: id,
    prompt,
    context_id,
    agent_slug,
    desired_format,
    context_hints,
    policy,
    runtime_url: runtimeUrl,
  };
  const { status, text } = await boundedFetch(outbound, `${url.replace(/\/+$/, "")}/execute-task`, {
    method: "POST",
    headers: new Headers({
      "content-type": "application/json",
      ...(agentKey && { "x-membridge-agent": agentKey }),
    }),
    body: JSON.stringify(order),
    timeoutMs: policy.timeout_sec * 1_000 + MARGIN_MS,
    maxBytes: MAX_ANSWER_BYTES,
    signal,
  }).catch((error: unknown) => {
    const refused = error instanceof NetworkFault && (!error.sent || error instanceof RedirectFault);
    throw new AgentFault(`The agent cannot be reached: ${messageOf(error)}`, refused);
  });
  if (status < 200 || status > 299) throw new AgentFault(`The agent answered ${status}`, true);
  try {
    return execution.parse(JSON.parse(text));
  } catch {
    throw new AgentFault("The agent's answer is not what an agent answers", false);
  }
}
