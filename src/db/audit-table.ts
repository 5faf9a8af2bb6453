/** The table of the audit: who did what to which thing. */
import { type SQL, sql } from "drizzle-orm";
import { bigint, index, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs, transactionId } from "./column-types.ts";
import { isUncommon } from "./partial-index-conditions.ts";

export const auditLogs = pgTable(
  "audit_logs",
  {
    id: uuid().primaryKey(),
    timestamp: epochMs("timestamp").notNull(),
    action: text().notNull(),
    entity_type: text().notNull(),
    entity_id: text().notNull(),
    actor: text().notNull(),
    detail: text().notNull(),
    /** The order in which entries were written. Their times show another order when the database's clock was set back. */
    seq: bigint({ mode: "number" }).generatedAlwaysAsIdentity().notNull(),
    /** The transaction that wrote the entry: a later `seq` may be committed earlier, so that events are read by this (events/position.ts). */
    xid: transactionId().notNull().default(sql`pg_current_xact_id()`),
  },
  (entry) => [
    // queue/audit-list.ts: all entries, newest first
    uniqueIndex("audit_logs_newest").on(entry.seq),
    // queue/audit-list.ts: the entries of actions that are not part of every task's life
    index("audit_logs_uncommon").on(entry.seq).where(isUncommon(entry.action)),
    // events/read-events.ts: the entries of ended transactions behind a position
    index("audit_logs_in_order").on(entry.xid, entry.seq),
    // queue/history.ts: the entries about a task and its leases
    index("audit_logs_by_entity").on(entry.entity_id, entry.seq),
  ],
);

/** True in SQL for an entity's id that is the id of a row of ours. Adopted databases may hold any text as one. */
export const isUuidText = (entityId: SQL): SQL => sql`${entityId} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`;
