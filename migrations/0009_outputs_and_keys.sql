CREATE TABLE "runtime_api_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"role" text NOT NULL,
	"key_sha256" text NOT NULL,
	"created_at" bigint NOT NULL,
	"last_used_at" bigint,
	"revoked_at" bigint,
	CONSTRAINT "runtime_api_keys_key_sha256_unique" UNIQUE("key_sha256")
);
--> statement-breakpoint
CREATE TABLE "runtime_output_chunks" (
	"output_id" uuid NOT NULL,
	"seq" integer NOT NULL,
	"data" "bytea" NOT NULL,
	CONSTRAINT "runtime_output_chunks_output_id_seq_pk" PRIMARY KEY("output_id","seq")
);
--> statement-breakpoint
CREATE TABLE "runtime_staged_outputs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"lease_id" uuid,
	"created_at" bigint NOT NULL,
	"size_bytes" bigint,
	"sha256" text
);
--> statement-breakpoint
ALTER TABLE "runtime_artifacts" ADD COLUMN "size_bytes" bigint;--> statement-breakpoint
ALTER TABLE "runtime_artifacts" ADD COLUMN "sha256" text;--> statement-breakpoint
ALTER TABLE "runtime_artifacts" ADD COLUMN "content_type" text DEFAULT 'text/plain; charset=utf-8' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "runtime_api_keys_one_valid_per_name" ON "runtime_api_keys" USING btree ("name") WHERE "runtime_api_keys"."revoked_at" is null;--> statement-breakpoint
CREATE INDEX "runtime_artifacts_in_database" ON "runtime_artifacts" USING btree ("id") WHERE "runtime_artifacts"."url" is null and "runtime_artifacts"."size_bytes" is not null;