CREATE INDEX "leases_by_worker" ON "leases" USING btree ("worker_id","started_at");--> statement-breakpoint
CREATE INDEX "llm_tasks_queued" ON "llm_tasks" USING btree ("created_at","id") WHERE "llm_tasks"."status" = 'queued';--> statement-breakpoint
CREATE INDEX "llm_tasks_queued_by_context" ON "llm_tasks" USING btree ("context_id","created_at") WHERE "llm_tasks"."status" = 'queued';