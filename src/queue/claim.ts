import { and, asc, desc, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { ClaimTasks } from "../contract/requests.ts";
import type { Task } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { leases, llmTasks } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { Conflict } from "../errors.ts";
import { countActiveLeases } from "../fleet/capacity.ts";
import { seen } from "../fleet/evidence.ts";
import { getWorker, workerNotFound } from "../fleet/workers.ts";
import { type Granted, grant } from "./grant.ts";
import { isDue } from "./tasks.ts";

/** The worker's CLI session of the context that it served last is warm for about so long. */
const WARM_MS = 600_000;
/** By so much a task of that context counts as older than it is. Others wait no longer than that for their turn, so none starves. */
const HEAD_START_MS = 30_000;

/**
 * queued -> leased for the oldest due tasks that the worker may have, up to `max_tasks` and its free capacity, which is exact under any
 * concurrency (lifecycle.md, invariant 5). None is no fault. A claim is a sign of life.
 * NotFound: no such worker. Conflict: it is drained.
 */
export async function claimTasks(db: Db, request: ClaimTasks): Promise<Granted[]> {
  const { worker_id, max_tasks = 1, ttl_seconds, agent_slugs = [] } = request;
  return inTransaction(db, async (tx) => {
    const worker = await getWorker(tx, worker_id);
    const free = Math.min(max_tasks, worker.capabilities.max_concurrency - worker.active_leases);
    const may = and(
      sql`${llmTasks.requires} <@ ${JSON.stringify(worker.capabilities.labels)}::jsonb`,
      agent_slugs.length > 0 ? inArray(llmTasks.agent_slug, agent_slugs) : undefined,
    );
    const found = free > 0 ? await oldestFor(tx, worker_id, free, may) : [];

    // Locks the worker, after the tasks; what it holds is counted anew in a statement of its own.
    const state = await seen(tx, worker_id, "claim");
    if (!state) throw workerNotFound();
    if (state.drained) {
      const why = worker.drain?.reason ? `: ${worker.drain.reason}` : "";
      throw new Conflict(`Worker ${worker_id} is drained and gets no new work${why}`);
    }
    const room = state.max_concurrency - (await countActiveLeases(tx, worker_id));
    const grantee = { workerId: worker_id, actor: worker_id, ttlSeconds: ttl_seconds };
    return grant(tx, found.slice(0, Math.max(0, room)), grantee);
  });
}

/** Locks the oldest due tasks, and those of the warm context, as far as nobody else has them; gives `limit` of them in their order. */
async function oldestFor(tx: Db, workerId: string, limit: number, may: SQL | undefined): Promise<Task[]> {
  const lock = (condition: SQL | undefined) =>
    tx
      .select()
      .from(llmTasks)
      .where(and(eq(llmTasks.status, "queued"), isDue, may, condition))
      .orderBy(asc(llmTasks.created_at), asc(llmTasks.id))
      .limit(limit)
      .for("no key update", { skipLocked: true });
  const oldest = await lock(undefined);
  const context = oldest.length === 0 ? undefined : await warmContext(tx, workerId);
  const warm = context === undefined ? [] : await lock(eq(llmTasks.context_id, context));
  const rank = (task: Task) => task.created_at - (task.context_id === context ? HEAD_START_MS : 0);
  const all = new Map([...oldest, ...warm].map((task) => [task.id, task]));
  return [...all.values()].sort((a, b) => rank(a) - rank(b)).slice(0, limit);
}

async function warmContext(tx: Db, workerId: string): Promise<string | undefined> {
  const [last] = await tx
    .select({ context_id: leases.context_id, isWarm: sql<boolean>`${leases.started_at} > ${nowMs} - ${WARM_MS}` })
    .from(leases)
    .where(eq(leases.worker_id, workerId))
    .orderBy(desc(leases.started_at))
    .limit(1);
  return last?.isWarm ? (last.context_id ?? undefined) : undefined;
}
