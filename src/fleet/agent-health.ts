import { z } from "zod";
import { text } from "../contract/fields.ts";
import type { WorkerRow } from "../db/rows.ts";
import type { Capabilities } from "../db/values.ts";
import { lenient, list, maxConcurrency } from "./membridge-agents.ts";
import { type AgentCalls, callAgent } from "./node-agent.ts";

const MAX_ANSWER_BYTES = 64 * 1024;

const name = lenient(text(256).min(1));

/** What an agent says at `GET /health`, read as far as it makes sense. `degraded` is alive. */
const health = z
  .object({
    status: lenient(z.string()),
    node_id: name,
    hostname: name,
    version: name,
    os_info: lenient(text(1_024).min(1)),
    claude_cli_available: lenient(z.boolean()),
    capabilities: lenient(
      z.object({ claude_cli: lenient(z.boolean()), max_concurrency: maxConcurrency, labels: list }),
    ),
    max_concurrency: maxConcurrency,
    labels: list,
  })
  .transform(({ status, capabilities, ...said }) => ({
    ...said,
    isAlive: status === "ok" || status === "degraded",
    claude_cli: said.claude_cli_available ?? capabilities?.claude_cli,
    max_concurrency: capabilities?.max_concurrency ?? said.max_concurrency,
    labels: capabilities?.labels ?? said.labels,
  }));
export type Health = z.output<typeof health>;

/** The answer to `GET <url>/health`, for which no key is sent. `health` is undefined where it is no JSON object. Throws a NetworkFault. */
export async function askHealth(
  outbound: AgentCalls["outbound"],
  url: string,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<{ status: number; json: unknown; health: Health | undefined }> {
  const call = { method: "GET" as const, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal };
  const { status, json } = await callAgent({ outbound, agentKey: "" }, url, "/health", call);
  return { status, json, health: health.safeParse(json).data };
}

/** The other node that the agent says it is; undefined where it is the worker's own, or does not say. A host may leave out its domain. */
export function otherNodeIn(
  { node_id, hostname }: Health,
  worker: Pick<WorkerRow, "id" | "node_id">,
): string | undefined {
  const names = [worker.id, worker.node_id].map((one) => one.toLowerCase());
  if (node_id !== undefined) return names.includes(node_id.toLowerCase()) ? undefined : node_id;
  if (hostname === undefined) return undefined;
  const hosts = names.map(withoutDomain);
  return hosts.includes(withoutDomain(hostname.toLowerCase())) ? undefined : hostname;
}

const withoutDomain = (host: string) => host.split(".")[0];

/** What the node says of its CLI is so now; it may have more room and labels than it says here, for it may have registered them. */
export function refreshCapabilities(known: WorkerRow, said: Health): Capabilities {
  const { claude_cli, max_concurrency, labels } = known.capabilities;
  const own = known.self_registered;
  return {
    ...known.capabilities,
    claude_cli: said.claude_cli ?? claude_cli,
    max_concurrency: own
      ? Math.max(max_concurrency, said.max_concurrency ?? 0)
      : (said.max_concurrency ?? max_concurrency),
    labels: own ? [...new Set([...labels, ...(said.labels ?? [])])] : (said.labels ?? labels),
  };
}
