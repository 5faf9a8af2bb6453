ALTER TABLE "workers" ADD COLUMN "url_from" text DEFAULT 'node' NOT NULL;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "answered_by" text;--> statement-breakpoint
ALTER TABLE "llm_results" ADD COLUMN "incomplete" boolean DEFAULT false NOT NULL;