CREATE TABLE "audit_logs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"timestamp" bigint NOT NULL,
	"action" text NOT NULL,
	"entity_type" text NOT NULL,
	"entity_id" text NOT NULL,
	"actor" text NOT NULL,
	"detail" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"worker_id" text NOT NULL,
	"started_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"ttl_seconds" integer NOT NULL,
	"status" text NOT NULL,
	"last_heartbeat" bigint NOT NULL,
	"context_id" text,
	CONSTRAINT "leases_status_known" CHECK ("leases"."status" in ('active', 'expired', 'released', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "llm_results" (
	"id" uuid PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"worker_id" text NOT NULL,
	"artifact_id" uuid NOT NULL,
	"status" text NOT NULL,
	"output" text,
	"error_message" text,
	"metrics" jsonb NOT NULL,
	"completed_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "llm_tasks" (
	"id" uuid PRIMARY KEY NOT NULL,
	"context_id" text NOT NULL,
	"agent_slug" text NOT NULL,
	"prompt" text NOT NULL,
	"context_hints" jsonb NOT NULL,
	"policy" jsonb NOT NULL,
	"desired_format" text NOT NULL,
	"status" text NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL,
	"lease_id" uuid,
	"worker_id" text,
	"attempts" integer NOT NULL,
	"max_attempts" integer NOT NULL,
	CONSTRAINT "llm_tasks_status_known" CHECK ("llm_tasks"."status" in ('queued', 'leased', 'running', 'completed', 'failed', 'dead')),
	CONSTRAINT "llm_tasks_held_has_lease" CHECK ("llm_tasks"."status" not in ('leased', 'running') or "llm_tasks"."lease_id" is not null),
	CONSTRAINT "llm_tasks_queued_has_no_lease" CHECK ("llm_tasks"."status" <> 'queued' or "llm_tasks"."lease_id" is null)
);
--> statement-breakpoint
CREATE TABLE "runtime_artifacts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"job_id" text,
	"type" text NOT NULL,
	"created_at" bigint NOT NULL,
	"finalized" boolean NOT NULL,
	"url" text,
	"entity_refs" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"tags" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"content" text
);
--> statement-breakpoint
CREATE TABLE "runtime_settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "workers" (
	"id" text PRIMARY KEY NOT NULL,
	"node_id" text NOT NULL,
	"url" text DEFAULT '' NOT NULL,
	"status" text NOT NULL,
	"capabilities" jsonb NOT NULL,
	"last_heartbeat" bigint,
	"ip_addrs" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"obs_count" integer DEFAULT 0 NOT NULL,
	"db_sha" text DEFAULT '' NOT NULL,
	"registered_at" bigint NOT NULL,
	"agent_version" text DEFAULT '' NOT NULL,
	"os_info" text DEFAULT '' NOT NULL,
	"install_method" text DEFAULT '' NOT NULL,
	"self_registered" boolean DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX "audit_logs_newest" ON "audit_logs" USING btree ("timestamp","id");--> statement-breakpoint
CREATE UNIQUE INDEX "leases_one_active_per_task" ON "leases" USING btree ("task_id") WHERE "leases"."status" = 'active';--> statement-breakpoint
CREATE INDEX "leases_active_by_worker" ON "leases" USING btree ("worker_id") WHERE "leases"."status" = 'active';--> statement-breakpoint
CREATE INDEX "leases_active_by_expiry" ON "leases" USING btree ("expires_at") WHERE "leases"."status" = 'active';--> statement-breakpoint
CREATE INDEX "leases_newest" ON "leases" USING btree ("started_at","id");--> statement-breakpoint
CREATE INDEX "leases_by_status" ON "leases" USING btree ("status","started_at","id");--> statement-breakpoint
CREATE INDEX "llm_tasks_newest" ON "llm_tasks" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "llm_tasks_by_status" ON "llm_tasks" USING btree ("status","created_at","id");--> statement-breakpoint
CREATE INDEX "runtime_artifacts_newest" ON "runtime_artifacts" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "runtime_artifacts_by_task" ON "runtime_artifacts" USING btree ("task_id","created_at","id");