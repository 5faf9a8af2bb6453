/** Webhooks, and what is sent to them. See `task-tables.ts` for what holds for all tables. */
import { sql } from "drizzle-orm";
import { bigint, check, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { epochMs, transactionId } from "./column-types.ts";
import { DELIVERY_STATES } from "./statuses.ts";

/** Who is told of events. Secrets are sealed as settings are (saved-config/secret-box.ts). */
export const webhooks = pgTable("runtime_webhooks", {
  id: uuid().primaryKey(),
  url: text().notNull(),
  /** Types of events, and groups of them such as `task.*`, as its creator wrote them. */
  events: jsonb().$type<string[]>().notNull(),
  secret: text().notNull(),
  /** The secret before a rotation. Until `previous_secret_until`, deliveries are signed with both secrets. */
  previous_secret: text(),
  previous_secret_until: epochMs("previous_secret_until"),
  /** The webhook is told of audit entries behind this one. */
  from_seq: bigint({ mode: "number" }).notNull(),
  /** Since when nothing is sent, and why; null: the webhook is on. */
  off_since: epochMs("off_since"),
  off_reason: text(),
  created_at: epochMs("created_at").notNull(),
  updated_at: epochMs("updated_at").notNull(),
  /** About when the receiver last took something: it is written once a minute at most. */
  last_success_at: epochMs("last_success_at"),
});

/** An event that is to be sent to one receiver, or was. */
export const webhookDeliveries = pgTable(
  "runtime_webhook_deliveries",
  {
    /** The `webhook-id` of the message: the same at each attempt. */
    id: uuid().primaryKey(),
    /**
     * The receiver: the id of a webhook, or `callback <host>` for the `callback_url` of a task. Each target has its own bound and its
     * own rest.
     */
    target: text().notNull(),
    /** The address of a callback; null for a webhook, whose address may change until it is called. */
    url: text(),
    /** The event: its type, the audit entry that it is made from, when it happened, and what it is about. */
    type: text().notNull(),
    entry_id: uuid().notNull(),
    occurred_at: epochMs("occurred_at").notNull(),
    task_id: text(),
    entity_type: text().notNull(),
    entity_id: text().notNull(),
    state: text({ enum: DELIVERY_STATES }).notNull(),
    attempts: integer().notNull(),
    /** When a pending delivery is tried next. While a call is made, that is the time at which the call counts as lost. */
    next_at: epochMs("next_at").notNull(),
    /** At this time a delivery that had no success has failed. Sending it again sets a new time. */
    retry_until: epochMs("retry_until").notNull(),
    created_at: epochMs("created_at").notNull(),
    ended_at: epochMs("ended_at"),
    last_status: integer(),
    last_error: text(),
  },
  (delivery) => [
    check("runtime_webhook_deliveries_state", sql`${delivery.state} in ('pending', 'delivered', 'failed')`),
    // webhooks/queue-deliveries.ts: an event goes to a target once
    uniqueIndex("runtime_webhook_deliveries_once").on(delivery.target, delivery.entry_id),
    // webhooks/delivery-claim-parts.ts: what is due of a target
    index("runtime_webhook_deliveries_due")
      .on(delivery.target, delivery.next_at)
      .where(sql`${delivery.state} = 'pending'`),
    // webhooks/delivery-list.ts: newest first, of one target, and those that failed
    index("runtime_webhook_deliveries_newest").on(delivery.created_at, delivery.id),
    index("runtime_webhook_deliveries_by_target").on(delivery.target, delivery.created_at, delivery.id),
    index("runtime_webhook_deliveries_failed")
      .on(delivery.created_at, delivery.id)
      .where(sql`${delivery.state} = 'failed'`),
  ],
);

/**
 * The targets of callbacks for which something may be due, and from when on: one row for each target. A trigger on the deliveries makes the row, or
 * makes its time earlier; a claim makes the time later, or removes the row (webhooks/claim-callbacks.ts). The time may be too early, and is never too
 * late.
 */
export const callbackTurns = pgTable(
  "runtime_callback_turns",
  { target: text().primaryKey(), due_at: epochMs("due_at").notNull() },
  // webhooks/claim-callbacks.ts: whose turn it is
  (turn) => [index("runtime_callback_turns_due").on(turn.due_at)],
);

/** Targets that failed lately: how often in a row, and until when they are left alone. A target without a row did not fail. */
export const webhookRests = pgTable("runtime_webhook_rests", {
  target: text().primaryKey(),
  failures: integer().notNull(),
  until: epochMs("until").notNull(),
});

/**
 * Up to where the audit was read for deliveries (events/position.ts): one row. A restored row gets the number of the transaction that restores it, as
 * the audit entries do, so that it stands in its place among them.
 */
export const webhookPosition = pgTable("runtime_webhook_position", {
  name: text().primaryKey(),
  xid: transactionId().notNull().default(sql`pg_current_xact_id()`),
  seq: bigint({ mode: "number" }).notNull(),
});
