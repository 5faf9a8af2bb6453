ALTER TABLE "llm_tasks" ADD COLUMN "prefers" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "queue_ttl_sec" integer;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "queue_until" bigint;--> statement-breakpoint
CREATE INDEX "llm_tasks_queued_until" ON "llm_tasks" USING btree ("queue_until") WHERE "llm_tasks"."status" = 'queued' and "llm_tasks"."queue_until" is not null and "llm_tasks"."attempts" = 0 and "llm_tasks"."tried_by" is null;