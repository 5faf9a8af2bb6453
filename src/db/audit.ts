import { type SQL, type SQLWrapper, sql } from "drizzle-orm";
import type { Caller } from "../caller.ts";
import type { AuditAction } from "./audit-actions.ts";
import { auditLogs } from "./audit-table.ts";
import type { Db } from "./client.ts";
import { nowMs } from "./clock.ts";
import { newId } from "./ids.ts";
import type { AuditRow } from "./row-types.ts";

/** What an audit entry says: who did what to which thing, in the words of api.md. */
export type AuditFact = Pick<AuditRow, "entity_type" | "entity_id" | "actor" | "detail"> & { action: AuditAction };

/** The actor that an audit entry names: the named key that the caller showed, or else `actor`. What the service does by itself has no caller. */
export function actorOf<Actor extends string | null>(caller: Caller | undefined, actor: Actor): string | Actor {
  return caller?.key?.name ?? actor;
}

/** Writes one audit entry for each fact. `tx` is the transaction of the change itself: both commit, or neither (lifecycle.md, invariant 15). */
export async function audit(tx: Db, ...facts: AuditFact[]): Promise<void> {
  if (facts.length === 0) return;
  await tx.insert(auditLogs).values(facts.map((fact) => ({ id: newId(), timestamp: nowMs, ...fact })));
}

/** The fields of an entry that travel. */
export const AUDIT_FIELDS = ["id", "timestamp", "action", "entity_type", "entity_id", "actor", "detail"] as const;
/** An action as a text in SQL. */
export const actionInSql = (action: AuditAction): SQL => sql.raw(`'${action}'`);
/** An entry in SQL. */
export type EntryInSql = Record<Exclude<(typeof AUDIT_FIELDS)[number], "action">, SQLWrapper> & {
  action: AuditAction | SQL;
};

/**
 * The INSERT of audit entries for a statement of our own (statement.ts): an entry for each row of `from`, which may end with a WHERE. Each column
 * is SQL over such a row; an action that is the same for all rows is given by its name. The values of `actor` come from `actorOf`.
 */
export function insertAudit(entry: EntryInSql, from: SQL): SQL {
  const action = typeof entry.action === "string" ? actionInSql(entry.action) : entry.action;
  const { id, timestamp, entity_type, entity_id, actor, detail } = entry;
  return sql`insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
      select ${id}, ${timestamp}, ${action}, ${entity_type}, ${entity_id}, ${actor}, ${detail} from ${from}`;
}
