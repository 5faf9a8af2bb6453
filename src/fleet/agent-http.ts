import { isAgentUrl } from "../callable-addresses.ts";
import { boundedFetch, type FetchOptions, jsonIn, NetworkFault } from "./bounded-fetch.ts";
import type { Outbound } from "./outbound.ts";

/** What calls of node agents need. */
export interface AgentCalls {
  outbound: Outbound;
  /** MEMBRIDGE_AGENT_KEY; "" sends none. */
  agentKey: string;
  /** How long after `timeout_sec` an agent may still answer, in milliseconds. */
  marginMs?: number;
  /** How long to wait for an agent's own completion after its answer, in milliseconds. */
  ownCompletionMs?: number;
}

/**
 * Calls the agent at `url`; `json` is undefined when the answer is no JSON. No redirect is followed, so that the key goes to this address only.
 * Throws a NetworkFault, or the reason of an aborted `signal`.
 */
export async function callAgent(
  { outbound, agentKey }: AgentCalls,
  url: string,
  path: string,
  { body, traceparent, ...options }: Omit<FetchOptions, "headers"> & { traceparent?: string | undefined },
): Promise<{ status: number; json: unknown }> {
  // An adopted database may hold any address. With a query in it, the path would become a part of the query.
  if (!isAgentUrl(url)) throw new NetworkFault("its address must not be called", false);
  const headers = new Headers({
    accept: "application/json",
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(agentKey && { "x-membridge-agent": agentKey }),
    ...(traceparent !== undefined && { traceparent }),
  });
  const answer = await boundedFetch(outbound, `${url.replace(/\/+$/, "")}${path}`, {
    ...options,
    target: "agent",
    headers,
    ...(body !== undefined && { body }),
  });
  return { status: answer.status, json: jsonIn(answer.body) };
}
