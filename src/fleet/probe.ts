import { and, eq, ne, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { z } from "zod";
import { text } from "../contract/fields.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/schema.ts";
import { inTransaction } from "../db/transaction.ts";
import { messageOf } from "../errors.ts";
import { boundedFetch } from "./bounded-fetch.ts";
import { seen } from "./evidence.ts";
import type { Outbound } from "./outbound.ts";

const PROBE_WITHIN_MS = 3_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Well within the minute after which a worker counts as offline. */
const QUIET_MS = 20_000;
/** A pass of calls that are all not answered takes 12 s. */
const PER_PASS = 200;
const AT_ONCE = 50;

const health = z.object({ status: z.literal("ok"), version: text(256).optional(), os_info: text(1_024).optional() });

/**
 * Asks the agents of workers that gave no other sign of life lately; whoever answers lives. Gives how many did. Those that are about to go
 * offline come first, and of the others some at random, so that those that are gone do not keep it from those that are back.
 */
export async function probeOnce(db: Db, outbound: Outbound, log: Logger): Promise<number> {
  const quiet = await db
    .select({ id: workers.id, url: workers.url })
    .from(workers)
    .where(and(ne(workers.url, ""), sql`coalesce(${workers.last_heartbeat}, 0) < ${nowMs} - ${QUIET_MS}`))
    .orderBy(sql`${workers.status} in ('offline', 'unknown'), random()`)
    .limit(PER_PASS);
  let alive = 0;
  const probing = Array.from({ length: AT_ONCE }, async () => {
    for (let worker = quiet.shift(); worker; worker = quiet.shift())
      if (await probe(db, outbound, worker, log)) alive += 1;
  });
  await Promise.all(probing);
  return alive;
}

async function probe(
  db: Db,
  outbound: Outbound,
  { id, url }: { id: string; url: string },
  log: Logger,
): Promise<boolean> {
  try {
    const answer = await boundedFetch(outbound, `${url.replace(/\/+$/, "")}/health`, {
      method: "GET",
      headers: new Headers({ accept: "application/json" }),
      timeoutMs: PROBE_WITHIN_MS,
      maxBytes: MAX_ANSWER_BYTES,
    });
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
    const { version, os_info } = health.parse(JSON.parse(answer.text));
    await inTransaction(db, async (tx) => {
      await seen(tx, id, "health probe");
      const news = { ...(version && { agent_version: version }), ...(os_info && { os_info }) };
      if (Object.keys(news).length > 0) await tx.update(workers).set(news).where(eq(workers.id, id));
    });
    return true;
  } catch (error) {
    log.debug({ worker: id, reason: messageOf(error) }, "a worker's agent did not answer its health probe");
    return false;
  }
}
