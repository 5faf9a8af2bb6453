ALTER TABLE "llm_tasks" ADD COLUMN "output_schema" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "keep_transcript" boolean DEFAULT false NOT NULL;