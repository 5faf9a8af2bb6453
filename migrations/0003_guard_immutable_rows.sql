-- lifecycle.md, invariants 13 and 15: a finalized artifact and an audit entry are never changed, whoever asks.
CREATE FUNCTION bloom_runtime.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: its rows are immutable.', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER runtime_artifacts_finalized_is_immutable BEFORE UPDATE OR DELETE ON runtime_artifacts
  FOR EACH ROW WHEN (OLD.finalized) EXECUTE FUNCTION bloom_runtime.refuse_change();
--> statement-breakpoint
CREATE TRIGGER audit_logs_are_immutable BEFORE UPDATE OR DELETE ON audit_logs
  FOR EACH ROW EXECUTE FUNCTION bloom_runtime.refuse_change();
