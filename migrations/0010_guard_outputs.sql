-- What earlier versions wrote, as today's would have: size, hash and content type of each output.
ALTER TABLE runtime_artifacts DISABLE TRIGGER runtime_artifacts_finalized_is_immutable;
--> statement-breakpoint
UPDATE runtime_artifacts SET
  size_bytes = octet_length(content),
  sha256 = encode(sha256(convert_to(content, 'UTF8')), 'hex'),
  content_type = CASE WHEN EXISTS (SELECT 1 FROM llm_tasks t WHERE t.id = task_id AND t.desired_format = 'json')
    THEN 'application/json' ELSE content_type END;
--> statement-breakpoint
DROP TRIGGER runtime_artifacts_finalized_is_immutable ON runtime_artifacts;
--> statement-breakpoint
-- A finalized artifact never changes (lifecycle.md, invariant 13); only its bytes may go from PostgreSQL to its own place in the bucket.
CREATE FUNCTION bloom_runtime.guard_artifact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  unmoved runtime_artifacts := NEW;
BEGIN
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
CREATE TRIGGER runtime_artifacts_finalized_is_immutable BEFORE UPDATE OR DELETE ON runtime_artifacts
  FOR EACH ROW WHEN (OLD.finalized) EXECUTE FUNCTION bloom_runtime.guard_artifact();
--> statement-breakpoint
-- The same for bytes in pieces, while their artifact lives on them.
CREATE FUNCTION bloom_runtime.guard_output_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT 1 FROM runtime_artifacts WHERE id = NEW.output_id) THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM runtime_artifacts WHERE id = OLD.output_id AND url IS NULL) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% of % is refused: its rows are immutable.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER runtime_output_chunks_are_immutable BEFORE INSERT OR UPDATE OR DELETE ON runtime_output_chunks
  FOR EACH ROW EXECUTE FUNCTION bloom_runtime.guard_output_chunk();
--> statement-breakpoint
-- Bytes as they are: compressing them again gains nothing and costs time.
ALTER TABLE runtime_output_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
