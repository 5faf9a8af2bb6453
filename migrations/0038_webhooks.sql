CREATE TABLE "runtime_webhook_deliveries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"target" text NOT NULL,
	"url" text,
	"type" text NOT NULL,
	"entry_id" uuid NOT NULL,
	"occurred_at" bigint NOT NULL,
	"task_id" text,
	"entity_type" text NOT NULL,
	"entity_id" text NOT NULL,
	"state" text NOT NULL,
	"attempts" integer NOT NULL,
	"next_at" bigint NOT NULL,
	"retry_until" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"ended_at" bigint,
	"last_status" integer,
	"last_error" text,
	CONSTRAINT "runtime_webhook_deliveries_state" CHECK ("runtime_webhook_deliveries"."state" in ('pending', 'delivered', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "runtime_webhook_position" (
	"name" text PRIMARY KEY NOT NULL,
	"xid" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"seq" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runtime_webhook_rests" (
	"target" text PRIMARY KEY NOT NULL,
	"failures" integer NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runtime_webhooks" (
	"id" uuid PRIMARY KEY NOT NULL,
	"url" text NOT NULL,
	"events" jsonb NOT NULL,
	"secret" text NOT NULL,
	"previous_secret" text,
	"previous_secret_until" bigint,
	"from_seq" bigint NOT NULL,
	"off_since" bigint,
	"off_reason" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	"last_success_at" bigint
);
--> statement-breakpoint
CREATE UNIQUE INDEX "runtime_webhook_deliveries_once" ON "runtime_webhook_deliveries" USING btree ("target","entry_id");--> statement-breakpoint
CREATE INDEX "runtime_webhook_deliveries_due" ON "runtime_webhook_deliveries" USING btree ("target","next_at") WHERE "runtime_webhook_deliveries"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "runtime_webhook_deliveries_newest" ON "runtime_webhook_deliveries" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "runtime_webhook_deliveries_by_target" ON "runtime_webhook_deliveries" USING btree ("target","created_at","id");--> statement-breakpoint
CREATE INDEX "runtime_webhook_deliveries_failed" ON "runtime_webhook_deliveries" USING btree ("created_at","id") WHERE "runtime_webhook_deliveries"."state" = 'failed';