import { getTableName, type SQL, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { nowMs } from "./clock.ts";
import { newId } from "./ids.ts";
import type { Source } from "./pages.ts";
import type { AuditRow } from "./rows.ts";
import { auditLogs } from "./schema.ts";

/** Who did what to which thing, in the words of api.md. */
export type AuditFact = Pick<AuditRow, "action" | "entity_type" | "entity_id" | "actor" | "detail">;

/** Parts of the service that act by themselves, also while a request is answered. */
const OWN_ACTORS = new Set(["runtime", "membridge"]);

/** Who did it: whoever's named key it was; where there is none, as api.md says. */
export function actorOf<Actor extends string | null>({ caller }: Pick<Db, "caller">, actor: Actor): string | Actor {
  return actor !== null && OWN_ACTORS.has(actor) ? actor : (caller?.key?.name ?? actor);
}

/** Writes the facts down. `tx` is the transaction of the change itself: both commit, or neither (lifecycle.md, invariant 15). */
export async function audit(tx: Db, ...facts: AuditFact[]): Promise<void> {
  if (facts.length === 0) return;
  await tx
    .insert(auditLogs)
    .values(facts.map((fact) => ({ id: newId(), timestamp: nowMs, ...fact, actor: actorOf(tx, fact.actor) })));
}

/** All entries, newest first; or those that match, oldest first. */
export function auditEntries(where?: SQL): Source {
  return {
    table: auditLogs,
    id: auditLogs.id,
    time: auditLogs.seq,
    where,
    record: sql`to_jsonb(${sql.identifier(getTableName(auditLogs))}) - 'seq'`,
    weight: sql`octet_length(${auditLogs.detail})`,
    order: where ? "oldest first" : "newest first",
    isRare: where !== undefined,
  };
}
