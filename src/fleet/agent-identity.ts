import { and, eq, sql } from "drizzle-orm";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { workers } from "../db/fleet-tables.ts";
import type { WorkerRow } from "../db/row-types.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import { answeredByOther, askHealth, otherNodeIn } from "./agent-health.ts";
import { NetworkFault } from "./bounded-fetch.ts";
import { AgentFault } from "./execute-on-agent.ts";
import type { Outbound } from "./outbound.ts";

const ASK_WITHIN_MS = 2_000;

type Addressed = Pick<WorkerRow, "id" | "node_id" | "url" | "answered_by">;

/**
 * Asks the agent at the worker's address which node it is, before a key is sent there. An agent that does not say is taken for the worker's own.
 * AgentFault (refused): it is another node's agent, or nothing answers there.
 */
export async function requireOwnAgent(
  db: Db,
  outbound: Outbound,
  worker: Addressed,
  signal: AbortSignal,
): Promise<void> {
  const other = await whoElse(outbound, worker, signal);
  if (other !== worker.answered_by)
    // If this record gets lost, the next probe or dispatch makes it again.
    await inTransaction(db, (tx) => recordAnsweredBy(tx, worker, other)).catch(() => {});
  if (other !== null) throw new AgentFault(answeredByOther(worker.url, other), "refused");
}

async function whoElse(outbound: Outbound, worker: Addressed, signal: AbortSignal): Promise<string | null> {
  try {
    const { health } = await askHealth(outbound, worker.url, { timeoutMs: ASK_WITHIN_MS, signal });
    return (health && otherNodeIn(health, worker)) ?? null;
  } catch (error) {
    if (signal.aborted) throw new AgentFault("The service is stopping; the agent was not called", "refused");
    if (error instanceof NetworkFault && !error.sent)
      throw new AgentFault(`The agent cannot be reached: ${messageOf(error)}`, "refused");
    // The agent may only be too busy to answer.
    return null;
  }
}

/**
 * Records which other node answers at the worker's address, or null for none. A change is audited. `tx` is a transaction. Locks the worker.
 */
export async function recordAnsweredBy(tx: Db, { id, url }: Addressed, other: string | null): Promise<void> {
  const changed = await tx
    .update(workers)
    .set({ answered_by: other })
    .where(and(eq(workers.id, id), eq(workers.url, url), sql`${workers.answered_by} is distinct from ${other}`))
    .returning({ id: workers.id });
  if (changed.length === 0) return;
  const who = other === null ? "its own agent again" : `the node "${other}", so that its agent is not called`;
  await audit(tx, {
    action: "worker_updated",
    entity_type: "worker",
    entity_id: id,
    actor: "runtime",
    detail: `At the address of worker ${id} answers ${who}`,
  });
}
