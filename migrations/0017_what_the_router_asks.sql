ALTER TABLE "workers" ADD COLUMN "slots" integer GENERATED ALWAYS AS ((capabilities ->> 'max_concurrency')::int) STORED;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "has_cli" boolean GENERATED ALWAYS AS ((capabilities ->> 'claude_cli')::boolean) STORED;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "labels" jsonb GENERATED ALWAYS AS (capabilities -> 'labels') STORED;