-- Adoption, step 1 of 2: tables that the earlier service made are moved out of the way, so that ours can be created under their names.
-- A table of the same name that is not the earlier service's belongs to somebody else: the migration stops and leaves everything as it was.
DO $$
DECLARE
  legacy record;
  missing text;
BEGIN
  FOR legacy IN
    SELECT *
    FROM (VALUES
      ('llm_tasks', ARRAY['id', 'context_id', 'agent_slug', 'prompt', 'status', 'attempts']),
      ('leases', ARRAY['id', 'task_id', 'worker_id', 'expires_at', 'status']),
      ('workers', ARRAY['id', 'node_id', 'capabilities', 'registered_at', 'status']),
      ('runtime_artifacts', ARRAY['id', 'task_id', 'type', 'finalized']),
      ('llm_results', ARRAY['id', 'task_id', 'worker_id', 'artifact_id', 'status']),
      ('audit_logs', ARRAY['id', 'timestamp', 'action', 'entity_type', 'entity_id', 'actor', 'detail']),
      ('runtime_settings', ARRAY['key', 'value'])
    ) AS known (name, columns)
    WHERE to_regclass('public.' || quote_ident(known.name)) IS NOT NULL
  LOOP
    SELECT string_agg(c, ', ') INTO missing
    FROM unnest(legacy.columns) AS c
    WHERE NOT EXISTS (
      SELECT FROM information_schema.columns
      WHERE table_schema = 'public' AND table_name = legacy.name AND column_name = c
    );
    IF missing IS NOT NULL THEN
      RAISE EXCEPTION 'Table public.% belongs to another service (it has no column %). Nothing was changed; give BLOOM Runtime a database without a table of that name.',
        legacy.name, missing;
    END IF;
    CREATE SCHEMA IF NOT EXISTS bloom_runtime_legacy;
    EXECUTE format('ALTER TABLE public.%I SET SCHEMA bloom_runtime_legacy', legacy.name);
  END LOOP;
END
$$;
