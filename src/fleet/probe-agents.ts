import { isDeepStrictEqual } from "node:util";
import { and, eq, ne, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workerColumns, workers } from "../db/fleet-tables.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import { answeredByOther, askHealth, type Health, otherNodeIn, refreshCapabilities } from "./agent-health.ts";
import { recordAnsweredBy } from "./agent-identity.ts";
import type { Outbound } from "./outbound.ts";
import { recordSignOfLife } from "./signs-of-life.ts";
import { restWithCli } from "./worker-rest.ts";

const PROBE_WITHIN_MS = 3_000;
/** After this time without a sign of life, a worker's agent is asked: well before the worker counts as offline after a minute. */
const SILENT_MS = 20_000;
/** A pass in which no agent answers takes 12 s. */
const PER_PASS = 200;
const AT_ONCE = 50;

type Addressed = { id: string; url: string };

/**
 * Makes one pass of health probes, and gives how many workers live. It asks the agents of workers without another sign of life lately, and of
 * workers at whose address another node answered before. Workers that are about to go offline come first; the others come in random order, so
 * that workers that are gone for good do not keep the probes from workers that are back.
 */
export async function probeOnce(db: Db, outbound: Outbound, log: Logger): Promise<number> {
  const toProbe = await db
    .select({ id: workers.id, url: workers.url })
    .from(workers)
    .where(
      and(
        ne(workers.url, ""),
        sql`(coalesce(${workers.last_heartbeat}, 0) < ${nowMs} - ${SILENT_MS} or ${workers.answered_by} is not null)`,
      ),
    )
    .orderBy(sql`${workers.status} in ('offline', 'unknown'), random()`)
    .limit(PER_PASS);
  let alive = 0;
  const probing = Array.from({ length: AT_ONCE }, async () => {
    for (let worker = toProbe.shift(); worker; worker = toProbe.shift())
      if (await probe(db, outbound, worker, log)) alive += 1;
  });
  await Promise.all(probing);
  return alive;
}

async function probe(db: Db, outbound: Outbound, { id, url }: Addressed, log: Logger): Promise<boolean> {
  try {
    const { status, health } = await askHealth(outbound, url, { timeoutMs: PROBE_WITHIN_MS });
    if (status !== 200) throw new Error(`it answered ${status}`);
    if (!health?.isAlive) throw new Error("it does not say that it is ok or degraded");
    return await inTransaction(db, (tx) => recordAnswer(tx, id, url, health, log));
  } catch (error) {
    log.debug({ worker: id, reason: messageOf(error) }, "a worker's agent did not answer its health probe");
    return false;
  }
}

/** Records an agent's health answer. True when the agent is the worker's own, so that the worker lives. Locks the worker. */
async function recordAnswer(tx: Db, id: string, url: string, health: Health, log: Logger): Promise<boolean> {
  const [known] = await tx
    .select(workerColumns)
    .from(workers)
    .where(and(eq(workers.id, id), eq(workers.url, url)))
    .for("no key update");
  if (!known) return false;
  const other = otherNodeIn(health, known) ?? null;
  if (other !== known.answered_by) {
    await recordAnsweredBy(tx, known, other);
    if (other !== null) log.warn({ worker: id }, answeredByOther(url, other));
  }
  if (other !== null) return false;
  await recordSignOfLife(tx, id, "health probe");
  const { version, os_info } = health;
  const capabilities = refreshCapabilities(known, health);
  const isNews = !isDeepStrictEqual(capabilities, known.capabilities);
  const changes = {
    ...(version && { agent_version: version }),
    ...(os_info && { os_info }),
    ...(isNews && { capabilities }),
    ...(isNews && capabilities.claude_cli && { rest: restWithCli }),
  };
  if (Object.keys(changes).length > 0) await tx.update(workers).set(changes).where(eq(workers.id, id));
  if (isNews)
    await audit(tx, {
      action: "worker_updated",
      entity_type: "worker",
      entity_id: id,
      actor: "runtime",
      detail: `Worker ${id} says of itself ${JSON.stringify(capabilities)}`,
    });
  return true;
}
