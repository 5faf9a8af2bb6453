CREATE TABLE "runtime_accounts" (
	"id" text PRIMARY KEY NOT NULL,
	"rest" jsonb,
	"windows" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"paced_until" bigint,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "troubles" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "workers" drop column "slots";--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "slots" integer GENERATED ALWAYS AS (case when troubles >= 3 then 1 else (capabilities ->> 'max_concurrency')::int end) STORED;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "error_kind" text;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "allow_fallback" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "tried_by" text;--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD COLUMN "elsewhere_until" bigint;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "account" text;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "account_rest" jsonb;--> statement-breakpoint
ALTER TABLE "workers" ADD COLUMN "account_paced_until" bigint;--> statement-breakpoint
ALTER TABLE "llm_results" ADD COLUMN "error_kind" text;--> statement-breakpoint
-- Locks the account and then looks with a view of the data of its own: of two grants at once, the second one sees the first (fleet/capacity.ts).
CREATE FUNCTION bloom_runtime.account_is_idle(account_id text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM runtime_accounts WHERE id = account_id FOR NO KEY UPDATE;
  RETURN NOT EXISTS (
    SELECT FROM leases l JOIN workers w ON w.id = l.worker_id WHERE l.status = 'active' AND coalesce(w.account, w.id) = account_id
  );
END
$$;
