ALTER TABLE "llm_tasks" ADD COLUMN "last_error" text;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "agent_kind" text;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "structured_input" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "attachments" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "tracing" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "size_bytes" integer;