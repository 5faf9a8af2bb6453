CREATE TABLE "runtime_retention" (
	"name" text PRIMARY KEY NOT NULL,
	"held_by" uuid,
	"held_until" bigint NOT NULL,
	"tasks_removed" bigint DEFAULT 0 NOT NULL,
	"audit_entries_removed" bigint DEFAULT 0 NOT NULL,
	"passed_at" bigint
);
--> statement-breakpoint
CREATE INDEX "runtime_staged_outputs_oldest" ON "runtime_staged_outputs" USING btree ("created_at");--> statement-breakpoint
-- lifecycle.md, invariants 13 and 15: what is kept never changes. A row may only be deleted when it is older than the limit that the transaction has
-- set for itself, which nothing but the removal of old records does (src/retention/).
CREATE FUNCTION bloom_runtime.may_be_removed(setting text, row_time bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(row_time < nullif(current_setting(setting, true), '')::bigint, false);
END
$$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION bloom_runtime.guard_artifact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  unmoved runtime_artifacts := NEW;
BEGIN
  IF TG_OP = 'DELETE' AND bloom_runtime.may_be_removed('bloom.retention_cutoff', OLD.created_at) THEN
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.url IS NULL AND OLD.size_bytes IS NOT NULL AND NEW.content IS NULL
    AND NEW.url ~ ('^minio://[a-z0-9.-]+/artifacts/' || OLD.task_id || '/' || OLD.id || '$') THEN
    unmoved.url := OLD.url;
    unmoved.content := OLD.content;
    IF unmoved IS NOT DISTINCT FROM OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION '% of % is refused: its rows are immutable.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
--> statement-breakpoint
CREATE FUNCTION bloom_runtime.guard_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND bloom_runtime.may_be_removed('bloom.audit_retention_cutoff', OLD.timestamp) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% of % is refused: its rows are immutable.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
--> statement-breakpoint
DROP TRIGGER audit_logs_are_immutable ON audit_logs;
--> statement-breakpoint
CREATE TRIGGER audit_logs_are_immutable BEFORE UPDATE OR DELETE ON audit_logs
  FOR EACH ROW EXECUTE FUNCTION bloom_runtime.guard_audit_entry();
