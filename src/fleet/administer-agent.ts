import type { Caller } from "../caller.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { messageOf, Refusal } from "../errors.ts";
import { type AgentCalls, callAgent } from "./agent-http.ts";
import { requireOwnAgent } from "./agent-identity.ts";
import { NetworkFault } from "./bounded-fetch.ts";
import { AgentFault } from "./execute-on-agent.ts";
import { getWorker, noUrl } from "./workers.ts";

const ACTION_WITHIN_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** What an agent can be asked to do, and the path for it. */
export const AGENT_ACTIONS = { update: "/self-update", restart: "/restart", uninstall: "/uninstall" } as const;
export type AgentAction = keyof typeof AGENT_ACTIONS;

/** 502: the agent was not called, or did not do what it was asked; `message` says why. */
export class AgentUnreachable extends Refusal {
  readonly status = 502;
}

/** 400: the worker has no address at which its agent could be called. */
export class NoAgentUrl extends Refusal {
  readonly status = 400;
}

/**
 * Asks the worker's agent to update, restart or uninstall itself, and gives the agent's answer. A request that was sent is audited, whatever its
 * outcome. NotFound: no such worker. NoAgentUrl, AgentUnreachable.
 */
export async function askAgentTo(
  db: Db,
  caller: Caller | undefined,
  agents: AgentCalls,
  id: string,
  action: AgentAction,
): Promise<unknown> {
  const worker = await getWorker(db, id);
  if (worker.url === "") throw new NoAgentUrl(noUrl(id));
  await requireOwnAgent(db, agents.outbound, worker, new AbortController().signal).catch((error: unknown) => {
    throw error instanceof AgentFault ? new AgentUnreachable(error.message) : error;
  });
  const call = { method: "POST" as const, body: "{}", timeoutMs: ACTION_WITHIN_MS, maxBytes: MAX_ANSWER_BYTES };
  const { status, json } = await callAgent(agents, worker.url, AGENT_ACTIONS[action], call).catch(
    async (error: unknown) => {
      if (!(error instanceof NetworkFault)) throw error;
      if (error.sent) await auditAction(db, caller, id, action, `no answer: ${error.message}`);
      const hint = error.sent ? "; it may do it all the same" : "";
      throw new AgentUnreachable(`The agent did not answer: ${messageOf(error)}${hint}`);
    },
  );
  await auditAction(db, caller, id, action, `it answered ${status}`);
  if (status < 200 || status > 299) throw new AgentUnreachable(`The agent answered ${status}`);
  return json ?? { ok: true };
}

function auditAction(
  db: Db,
  caller: Caller | undefined,
  id: string,
  action: AgentAction,
  outcome: string,
): Promise<void> {
  return audit(db, {
    action: `agent_${action}`,
    entity_type: "worker",
    entity_id: id,
    actor: actorOf(caller, "admin"),
    detail: `The agent of worker ${id} was asked to ${action}: ${outcome}`,
  });
}
