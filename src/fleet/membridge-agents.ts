/** What Membridge's `GET /agents` says, read as far as it makes sense: other versions leave fields out, add some, or type them otherwise. */
import { z } from "zod";
import { agentUrl, text } from "../contract/fields.ts";
import { WORKER_STATUSES } from "../db/values.ts";

/** Enough to find the entries by. */
const SHOWN_ENTRIES = 10;
const SHOWN_CHARACTERS = 200;

/** The entries without a usable name: how many, and of the first ones the place in the list, from 0, and how they begin. */
export interface Unreadable {
  count: number;
  entries: { index: number; entry: string }[];
}

/** A field that counts as not reported when it is missing, null or of another type. */
export const lenient = <T extends z.ZodType>(schema: T) => schema.optional().catch(undefined);
const name = lenient(text(128).min(1));
export const list = lenient(z.array(text(256)).max(100));
export const maxConcurrency = lenient(z.int().min(1).max(32));

const agent = z
  .object({
    name,
    node_id: name,
    id: name,
    url: lenient(agentUrl),
    status: lenient(z.enum(WORKER_STATUSES)),
    // Float seconds.
    last_seen: lenient(z.number().min(0).max(1e11)),
    capabilities: lenient(
      z.object({ claude_cli: lenient(z.boolean()), max_concurrency: maxConcurrency, labels: list }),
    ),
    max_concurrency: maxConcurrency,
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

/** One agent as reported; undefined stands for what was not. */
export type Agent = z.output<typeof agent> & { name: string };

/** The agents by name, of two with one name the one seen last, and what could not be read. Undefined when `json` is no list. */
export function readAgents(json: unknown): { agents: Map<string, Agent>; unreadable: Unreadable } | undefined {
  if (!Array.isArray(json)) return undefined;
  const agents = new Map<string, Agent>();
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
