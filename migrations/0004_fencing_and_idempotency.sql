ALTER TABLE "llm_results" ADD COLUMN "lease_id" uuid;--> statement-breakpoint
ALTER TABLE "llm_results" ADD COLUMN "body_sha256" text;--> statement-breakpoint
ALTER TABLE "llm_results" ADD COLUMN "accepted" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "idempotency_key" text;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "boot_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "llm_results_one_per_lease" ON "llm_results" USING btree ("lease_id") WHERE "llm_results"."lease_id" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "llm_tasks_one_per_idempotency_key" ON "llm_tasks" USING btree ("idempotency_key") WHERE "llm_tasks"."idempotency_key" is not null;