ALTER TABLE "llm_tasks" DROP CONSTRAINT "llm_tasks_status_known";--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "requires" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "not_before" bigint;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "retry" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "progress" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "cancel_requested" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "drain" jsonb;--> statement-breakpoint
CREATE INDEX "audit_logs_by_entity" ON "audit_logs" USING btree ("entity_id","timestamp","id");--> statement-breakpoint
CREATE INDEX "leases_by_task" ON "leases" USING btree ("task_id");--> statement-breakpoint
CREATE INDEX "llm_results_by_task" ON "llm_results" USING btree ("task_id");--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD CONSTRAINT "llm_tasks_status_known" CHECK ("llm_tasks"."status" in ('queued', 'leased', 'running', 'completed', 'failed', 'dead', 'cancelled'));