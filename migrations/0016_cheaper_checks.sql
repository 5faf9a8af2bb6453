-- What the four checks said that this migration replaces, each row's in one call: see schema.ts.
CREATE FUNCTION bloom_runtime.task_is_possible(status text, lease uuid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN CASE
    WHEN status IN ('leased', 'running') THEN lease IS NOT NULL
    WHEN status = 'queued' THEN lease IS NULL
    ELSE status IN ('completed', 'failed', 'dead', 'cancelled')
  END;
END
$$;
--> statement-breakpoint
CREATE FUNCTION bloom_runtime.lease_is_possible(status text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN status IN ('active', 'expired', 'released', 'failed');
END
$$;
--> statement-breakpoint
ALTER TABLE "leases" DROP CONSTRAINT "leases_status_known";--> statement-breakpoint
ALTER TABLE "llm_tasks" DROP CONSTRAINT "llm_tasks_status_known";--> statement-breakpoint
ALTER TABLE "llm_tasks" DROP CONSTRAINT "llm_tasks_held_has_lease";--> statement-breakpoint
ALTER TABLE "llm_tasks" DROP CONSTRAINT "llm_tasks_queued_has_no_lease";--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_is_possible" CHECK (bloom_runtime.lease_is_possible("leases"."status"));--> statement-breakpoint
ALTER TABLE "llm_tasks" ADD CONSTRAINT "llm_tasks_is_possible" CHECK (bloom_runtime.task_is_possible("llm_tasks"."status", "llm_tasks"."lease_id"));