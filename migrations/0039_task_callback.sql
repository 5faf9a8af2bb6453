ALTER TABLE "llm_tasks" ADD COLUMN "callback_url" text;--> statement-breakpoint
CREATE INDEX "llm_tasks_with_callback" ON "llm_tasks" USING btree ("id") WHERE "llm_tasks"."callback_url" is not null;