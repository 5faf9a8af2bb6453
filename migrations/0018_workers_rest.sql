ALTER TABLE "workers" ADD COLUMN "rest" jsonb;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "fast_failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "rests" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "succeeded_at" bigint;