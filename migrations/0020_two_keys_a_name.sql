DROP INDEX "runtime_api_keys_one_valid_per_name";--> statement-breakpoint
ALTER TABLE "runtime_api_keys" ADD COLUMN "slot" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "runtime_api_keys_valid_by_name" ON "runtime_api_keys" USING btree ("name","slot") WHERE "runtime_api_keys"."revoked_at" is null;--> statement-breakpoint
ALTER TABLE "runtime_api_keys" ADD CONSTRAINT "runtime_api_keys_two_slots" CHECK ("runtime_api_keys"."slot" in (1, 2));