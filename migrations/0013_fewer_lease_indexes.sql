DROP INDEX "leases_by_worker";--> statement-breakpoint
DROP INDEX "leases_by_status";--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "served_context" text;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "served_at" bigint;--> statement-breakpoint
CREATE INDEX "leases_ended_otherwise" ON "leases" USING btree ("status","started_at","id") WHERE "leases"."status" in ('expired', 'failed');--> statement-breakpoint
-- The service tells the news itself, for many transactions at once (db/client.ts).
DROP TRIGGER llm_tasks_tell_of_a_new_one ON llm_tasks;--> statement-breakpoint
DROP TRIGGER llm_tasks_tell_of_one_queued_again ON llm_tasks;--> statement-breakpoint
DROP TRIGGER leases_tell_of_one_that_ends ON leases;--> statement-breakpoint
DROP FUNCTION bloom_runtime.tell_queue_news;
