import type { WorkerRow } from "../db/row-types.ts";
import { isLoopbackUrl } from "./agent-url-rules.ts";
import type { MembridgeAgent } from "./membridge-agents.ts";
import { OFFLINE_AFTER_MS } from "./signs-of-life.ts";

/** The row of a worker that Membridge lists and that was not known before. `now` is the database's time in epoch milliseconds. */
export function newWorker(agent: MembridgeAgent, now: number): WorkerRow {
  const nobody: WorkerRow = {
    id: agent.name,
    node_id: agent.name,
    url: "",
    url_from: "membridge",
    answered_by: null,
    status: agent.lastSeenMs === undefined ? "unknown" : "offline",
    capabilities: { claude_cli: true, max_concurrency: 1, labels: [] },
    last_heartbeat: null,
    ip_addrs: [],
    obs_count: 0,
    db_sha: "",
    registered_at: now,
    agent_version: "",
    os_info: "",
    install_method: "",
    boot_id: "",
    drain: null,
    rest: null,
    fast_failures: 0,
    rests: 0,
    succeeded_at: null,
    troubles: 0,
    account: null,
    account_rest: null,
    account_paced_until: null,
    refusals: 0,
    paused_until: null,
    served_context: null,
    served_at: null,
    self_registered: false,
  };
  return merge(nobody, agent, now);
}

/**
 * A worker's row after Membridge's report. A field that is not reported keeps its value, and a report never lowers what the node itself
 * registered (lifecycle.md, "When is a worker online?").
 */
export function merge(known: WorkerRow, agent: MembridgeAgent, now: number): WorkerRow {
  const { claude_cli, max_concurrency, labels } = known.capabilities;
  const own = known.self_registered;
  const lastSeen = Math.min(agent.lastSeenMs ?? 0, now);
  return {
    ...known,
    ...addressAfter(known, agent),
    agent_version: (own && known.agent_version) || (agent.agentVersion ?? known.agent_version),
    os_info: (own && known.os_info) || (agent.osInfo ?? known.os_info),
    install_method: (own && known.install_method) || (agent.installMethod ?? known.install_method),
    status: statusAfter(known, agent, lastSeen, now),
    capabilities: {
      claude_cli: isWithoutCli(known)
        ? false
        : own
          ? claude_cli || (agent.claudeCli ?? false)
          : (agent.claudeCli ?? claude_cli),
      max_concurrency: own
        ? Math.max(max_concurrency, agent.maxConcurrency ?? 0)
        : (agent.maxConcurrency ?? max_concurrency),
      labels: own ? [...new Set([...labels, ...(agent.labels ?? [])])] : (agent.labels ?? labels),
    },
    last_heartbeat: Math.max(known.last_heartbeat ?? 0, lastSeen) || null,
    ip_addrs: own && known.ip_addrs.length > 0 ? known.ip_addrs : (agent.ipAddrs ?? known.ip_addrs),
    obs_count: agent.obsCount ?? known.obs_count,
    db_sha: agent.dbSha ?? known.db_sha,
  };
}

/** An attempt has shown that the worker's CLI is not there: only the node itself can say otherwise. */
const isWithoutCli = ({ rest }: WorkerRow) => rest?.kind === "no_cli";

/**
 * The worker's address after the report. An address that the node itself registered stays, unless it is a loopback address, or was made from the
 * address of its request. A new address has no `answered_by`, since nobody has asked yet which node answers there.
 */
function addressAfter(known: WorkerRow, { url }: MembridgeAgent): Pick<WorkerRow, "url" | "url_from" | "answered_by"> {
  const { url_from, answered_by } = known;
  const isBetter = url !== undefined && (isLoopbackUrl(known.url) || !isLoopbackUrl(url));
  const isOwn = known.self_registered && url_from === "node" && !isLoopbackUrl(known.url);
  if (!isBetter || (isOwn && known.url !== "")) return { url: known.url, url_from, answered_by };
  return { url, url_from: "membridge", answered_by: url === known.url ? answered_by : null };
}

/** The worker's status after the report. Only a fresh and newer `last_seen` is evidence that the worker lives; a status alone is not. */
function statusAfter(known: WorkerRow, agent: MembridgeAgent, lastSeen: number, now: number): WorkerRow["status"] {
  const isFresher = lastSeen > (known.last_heartbeat ?? 0) && lastSeen > now - OFFLINE_AFTER_MS;
  if (!isFresher || (known.self_registered && known.status === "online")) return known.status;
  return agent.status === "syncing" || agent.status === "error" ? agent.status : "online";
}
