CREATE TABLE "runtime_cli_sessions" (
	"worker_id" text NOT NULL,
	"context_id" text NOT NULL,
	"session_id" text NOT NULL,
	"updated_at" bigint NOT NULL,
	CONSTRAINT "runtime_cli_sessions_worker_id_context_id_pk" PRIMARY KEY("worker_id","context_id")
);
--> statement-breakpoint
CREATE TABLE "runtime_new_usage" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "runtime_new_usage_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"completed_at" bigint NOT NULL,
	"account" text NOT NULL,
	"agent_slug" text NOT NULL,
	"context_id" text NOT NULL,
	"worker_id" text NOT NULL,
	"model" text NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"duration_ms" bigint DEFAULT 0 NOT NULL,
	"tokens" bigint DEFAULT 0 NOT NULL,
	"input_tokens" bigint DEFAULT 0 NOT NULL,
	"output_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_read_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_write_tokens" bigint DEFAULT 0 NOT NULL,
	"num_turns" bigint DEFAULT 0 NOT NULL,
	"cost_microusd" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runtime_usage" (
	"dimension" text NOT NULL,
	"day" date NOT NULL,
	"key" text NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"duration_ms" bigint DEFAULT 0 NOT NULL,
	"tokens" bigint DEFAULT 0 NOT NULL,
	"input_tokens" bigint DEFAULT 0 NOT NULL,
	"output_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_read_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_write_tokens" bigint DEFAULT 0 NOT NULL,
	"num_turns" bigint DEFAULT 0 NOT NULL,
	"cost_microusd" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "runtime_usage_dimension_day_key_pk" PRIMARY KEY("dimension","day","key")
);
--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "limits" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "usage" jsonb;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "resume" boolean DEFAULT false NOT NULL;--> statement-breakpoint
-- The figures of two records of usage, added up one by one; null is nothing used (src/queue/record-usage.ts).
CREATE FUNCTION bloom_runtime.add_usage(before jsonb, more jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_object_agg(figure, coalesce((before ->> figure)::numeric, 0) + coalesce((more ->> figure)::numeric, 0))
  FROM jsonb_object_keys(coalesce(before, '{}') || more) AS figure
$$;
