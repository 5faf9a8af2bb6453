import { z } from "zod";
import type { AgentHealth } from "../contract/record-types.ts";
import { text } from "../contract/request-fields.ts";
import type { Db } from "../db/client.ts";
import type { Capabilities } from "../db/json-types.ts";
import type { WorkerRow } from "../db/row-types.ts";
import { type AgentCalls, callAgent } from "./agent-http.ts";
import { NetworkFault } from "./bounded-fetch.ts";
import { lenient, list, maxConcurrencyField } from "./lenient-fields.ts";
import { getWorker, noUrl } from "./workers.ts";

const HEALTH_WITHIN_MS = 3_000;
const MAX_ANSWER_BYTES = 64 * 1024;

const name = lenient(text(256).min(1));

/** An agent's answer to `GET /health`, read as far as it makes sense. An agent that is `degraded` is alive. */
const health = z
  .object({
    status: lenient(z.string()),
    node_id: name,
    hostname: name,
    version: name,
    os_info: lenient(text(1_024).min(1)),
    claude_cli_available: lenient(z.boolean()),
    capabilities: lenient(
      z.object({ claude_cli: lenient(z.boolean()), max_concurrency: maxConcurrencyField, labels: list }),
    ),
    max_concurrency: maxConcurrencyField,
    labels: list,
  })
  .transform(({ status, capabilities, ...fields }) => ({
    ...fields,
    isAlive: status === "ok" || status === "degraded",
    claude_cli: fields.claude_cli_available ?? capabilities?.claude_cli,
    max_concurrency: capabilities?.max_concurrency ?? fields.max_concurrency,
    labels: capabilities?.labels ?? fields.labels,
  }));
export type Health = z.output<typeof health>;

/** Asks `GET <url>/health` without a key. `health` is undefined when the answer is not a JSON object. Throws a NetworkFault. */
export async function askHealth(
  outbound: AgentCalls["outbound"],
  url: string,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<{ status: number; json: unknown; health: Health | undefined }> {
  const call = { method: "GET" as const, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal };
  const { status, json } = await callAgent({ outbound, agentKey: "" }, url, "/health", call);
  return { status, json, health: health.safeParse(json).data };
}

/**
 * The name of another node, if the agent says that it is that node; undefined for the worker's own agent, and where it does not say. Host
 * names may lack their domain.
 */
export function otherNodeIn(
  { node_id, hostname }: Health,
  worker: Pick<WorkerRow, "id" | "node_id">,
): string | undefined {
  const names = [worker.id, worker.node_id].map((each) => each.toLowerCase());
  if (node_id !== undefined) return names.includes(node_id.toLowerCase()) ? undefined : node_id;
  if (hostname === undefined) return undefined;
  const hosts = names.map(withoutDomain);
  return hosts.includes(withoutDomain(hostname.toLowerCase())) ? undefined : hostname;
}

const withoutDomain = (host: string) => host.split(".")[0];

/** The sentence that says why the agent is not called. */
export const answeredByOther = (url: string, other: string) =>
  `At ${url} the node "${other}" answers, so that its agent was not called; register the worker with its own address.`;

/** The health answer of the worker's agent, and whether it is `reachable`; if not, `error` says why. NotFound: no such worker. */
export async function agentHealth(db: Db, { outbound }: AgentCalls, id: string): Promise<AgentHealth> {
  const worker = await getWorker(db, id);
  if (worker.url === "") return { reachable: false, error: noUrl(id) };
  try {
    const { status, json, health } = await askHealth(outbound, worker.url, { timeoutMs: HEALTH_WITHIN_MS });
    const other = health && otherNodeIn(health, worker);
    if (other !== undefined) return { reachable: false, error: answeredByOther(worker.url, other) };
    const answered = typeof json === "object" && json !== null && !Array.isArray(json) ? json : {};
    return { ...answered, reachable: true, ...(status !== 200 && { error: `The agent answered ${status}` }) };
  } catch (error) {
    if (!(error instanceof NetworkFault)) throw error;
    return { reachable: false, error: `The agent cannot be reached: ${error.message}` };
  }
}

/** The worker's capabilities after a health answer. Whether it has a CLI is as the answer says; what the node registered itself is not lowered. */
export function refreshCapabilities(known: WorkerRow, health: Health): Capabilities {
  const { claude_cli, max_concurrency, labels } = known.capabilities;
  const own = known.self_registered;
  return {
    ...known.capabilities,
    claude_cli: health.claude_cli ?? claude_cli,
    max_concurrency: own
      ? Math.max(max_concurrency, health.max_concurrency ?? 0)
      : (health.max_concurrency ?? max_concurrency),
    labels: own ? [...new Set([...labels, ...(health.labels ?? [])])] : (health.labels ?? labels),
  };
}
