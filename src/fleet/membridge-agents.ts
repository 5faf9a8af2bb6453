/** Reads Membridge's `GET /agents` as far as it makes sense, since its versions leave fields out, add some, or give them other types. */
import { z } from "zod";
import { agentUrl, text } from "../contract/request-fields.ts";
import { WORKER_STATUSES } from "../db/statuses.ts";
import { lenient, list, maxConcurrencyField } from "./lenient-fields.ts";

/** How much of unreadable entries is logged: enough to find them. */
const SHOWN_ENTRIES = 10;
const SHOWN_CHARACTERS = 200;

/** The entries without a usable name: their number, and for the first of them the index in the list and the beginning of the entry. */
export interface Unreadable {
  count: number;
  entries: { index: number; entry: string }[];
}

const name = lenient(text(128).min(1));

const agent = z
  .object({
    name,
    node_id: name,
    id: name,
    url: lenient(agentUrl),
    status: lenient(z.enum(WORKER_STATUSES)),
    // In seconds, with a fraction.
    last_seen: lenient(z.number().min(0).max(1e11)),
    capabilities: lenient(
      z.object({ claude_cli: lenient(z.boolean()), max_concurrency: maxConcurrencyField, labels: list }),
    ),
    max_concurrency: maxConcurrencyField,
    labels: list,
    ip_addrs: list,
    obs_count: lenient(z.int().min(0).max(2_147_483_647)),
    db_sha: lenient(text(256)),
    agent_version: lenient(text(256)),
    os_info: lenient(text(1_024)),
    install_method: lenient(text(256)),
  })
  .transform(({ name, node_id, id, last_seen, capabilities, ...reported }) => ({
    name: name ?? node_id ?? id,
    url: reported.url,
    status: reported.status,
    lastSeenMs: last_seen === undefined ? undefined : Math.floor(last_seen * 1_000),
    claudeCli: capabilities?.claude_cli,
    maxConcurrency: capabilities?.max_concurrency ?? reported.max_concurrency,
    labels: capabilities?.labels ?? reported.labels,
    ipAddrs: reported.ip_addrs,
    obsCount: reported.obs_count,
    dbSha: reported.db_sha,
    agentVersion: reported.agent_version || undefined,
    osInfo: reported.os_info || undefined,
    installMethod: reported.install_method || undefined,
  }));

/** An agent as reported; a field that was not reported is undefined. */
export type MembridgeAgent = z.output<typeof agent> & { name: string };

/** The agents by name, and what could not be read. Of two agents with the same name, the one seen last counts. Undefined when `json` is no list. */
export function readAgents(json: unknown): { agents: Map<string, MembridgeAgent>; unreadable: Unreadable } | undefined {
  if (!Array.isArray(json)) return undefined;
  const agents = new Map<string, MembridgeAgent>();
  const unreadable: Unreadable = { count: 0, entries: [] };
  for (const [index, entry] of json.entries()) {
    const read = agent.safeParse(entry);
    if (!read.success || read.data.name === undefined) {
      unreadable.count += 1;
      if (unreadable.count <= SHOWN_ENTRIES)
        unreadable.entries.push({ index, entry: JSON.stringify(entry).slice(0, SHOWN_CHARACTERS) });
      continue;
    }
    const found = { ...read.data, name: read.data.name };
    const other = agents.get(found.name);
    if (!other || (other.lastSeenMs ?? 0) <= (found.lastSeenMs ?? 0)) agents.set(found.name, found);
  }
  return { agents, unreadable };
}
