ALTER TABLE "runtime_staged_outputs" ADD COLUMN "bucket" text;--> statement-breakpoint
-- TRUNCATE fires no row's trigger, and would take what no DELETE may.
CREATE TRIGGER runtime_artifacts_are_not_truncated BEFORE TRUNCATE ON runtime_artifacts
  FOR EACH STATEMENT EXECUTE FUNCTION bloom_runtime.refuse_change();
--> statement-breakpoint
CREATE TRIGGER runtime_output_chunks_are_not_truncated BEFORE TRUNCATE ON runtime_output_chunks
  FOR EACH STATEMENT EXECUTE FUNCTION bloom_runtime.refuse_change();
