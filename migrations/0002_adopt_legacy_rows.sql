-- Adoption, step 2 of 2: every row of the earlier service is carried over into our tables. What would break our constraints is
-- repaired, and each repair leaves an audit entry (action `adoption_repaired`, actor `migration`). The earlier tables then go, in
-- this same transaction: they hold the admin key in plain text.
-- Rows are read as JSON, so that a column that an older deployment lacked, or typed otherwise, is simply absent or converted.
DO $$
DECLARE
  adopted_at constant bigint := floor(extract(epoch FROM now()) * 1000);
  known constant text[] := ARRAY['llm_tasks', 'leases', 'workers', 'runtime_artifacts', 'llm_results', 'audit_logs', 'runtime_settings'];
  name text;
BEGIN
  IF to_regnamespace('bloom_runtime_legacy') IS NULL THEN
    RETURN;
  END IF;

  FOREACH name IN ARRAY known LOOP
    -- A table that the earlier deployment lacked stands in as an empty one.
    -- OFFSET 0 keeps the planner from writing to_jsonb(t) anew for each field that is read of it.
    EXECUTE format('CREATE TABLE IF NOT EXISTS bloom_runtime_legacy.%I ()', name);
    EXECUTE format('CREATE VIEW bloom_runtime_legacy.%I AS SELECT to_jsonb(t) AS r FROM bloom_runtime_legacy.%I t OFFSET 0', name || '_rows', name);
  END LOOP;

  CREATE FUNCTION bloom_runtime_legacy.as_uuid(value text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE
      WHEN value = '' THEN NULL
      WHEN value ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN value::uuid
      ELSE md5(value)::uuid
    END
  $f$;
  CREATE FUNCTION bloom_runtime_legacy.as_int(value jsonb, fallback bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN value #>> '{}' ~ '^-?[0-9]{1,15}(\.[0-9]+)?$' THEN (value #>> '{}')::numeric::bigint ELSE fallback END
  $f$;
  CREATE FUNCTION bloom_runtime_legacy.as_list(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN jsonb_typeof(value) = 'array' THEN value ELSE '[]' END
  $f$;
  CREATE FUNCTION bloom_runtime_legacy.as_object(value jsonb, fallback jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN jsonb_typeof(value) = 'object' THEN fallback || jsonb_strip_nulls(value) ELSE fallback END
  $f$;
  CREATE FUNCTION bloom_runtime_legacy.one_of(value text, allowed text[], fallback text) RETURNS text LANGUAGE sql IMMUTABLE AS $f$
    SELECT CASE WHEN value = ANY (allowed) THEN value ELSE fallback END
  $f$;

  INSERT INTO audit_logs (id, "timestamp", action, entity_type, entity_id, actor, detail)
  SELECT bloom_runtime_legacy.as_uuid(r ->> 'id'), bloom_runtime_legacy.as_int(r -> 'timestamp', adopted_at), coalesce(r ->> 'action', ''),
    coalesce(r ->> 'entity_type', ''), coalesce(r ->> 'entity_id', ''), coalesce(r ->> 'actor', ''), coalesce(r ->> 'detail', '')
  FROM bloom_runtime_legacy.audit_logs_rows
  ORDER BY 2, 1;

  -- The lease that goes on holding a leased or running task: the one that the task names if it is active, else the newest active one.
  CREATE TABLE bloom_runtime_legacy.holders AS
  SELECT DISTINCT ON (t.r ->> 'id') t.r ->> 'id' AS task_id, l.r ->> 'id' AS lease_id, l.r ->> 'worker_id' AS worker_id
  FROM bloom_runtime_legacy.llm_tasks_rows t
  JOIN bloom_runtime_legacy.leases_rows l ON l.r ->> 'task_id' = t.r ->> 'id'
  WHERE t.r ->> 'status' IN ('leased', 'running') AND l.r ->> 'status' = 'active'
  ORDER BY t.r ->> 'id', (t.r ->> 'lease_id' IS NOT DISTINCT FROM l.r ->> 'id') DESC, bloom_runtime_legacy.as_int(l.r -> 'started_at', 0) DESC,
    l.r ->> 'id';
  ALTER TABLE bloom_runtime_legacy.holders ADD PRIMARY KEY (task_id);

  INSERT INTO leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
  SELECT bloom_runtime_legacy.as_uuid(r ->> 'id'), coalesce(bloom_runtime_legacy.as_uuid(r ->> 'task_id'), md5('')::uuid),
    coalesce(r ->> 'worker_id', ''), started_at, bloom_runtime_legacy.as_int(r -> 'expires_at', started_at),
    bloom_runtime_legacy.as_int(r -> 'ttl_seconds', 300),
    CASE
      WHEN r ->> 'status' = 'active' AND h.lease_id IS NULL THEN 'expired'
      ELSE bloom_runtime_legacy.one_of(r ->> 'status', ARRAY['active', 'expired', 'released', 'failed'], 'expired')
    END,
    bloom_runtime_legacy.as_int(r -> 'last_heartbeat', started_at), r ->> 'context_id'
  FROM (
    SELECT r, bloom_runtime_legacy.as_int(r -> 'started_at', adopted_at) AS started_at FROM bloom_runtime_legacy.leases_rows
  ) old
  LEFT JOIN bloom_runtime_legacy.holders h ON h.task_id = r ->> 'task_id' AND h.lease_id = r ->> 'id';

  -- A held task without any active lease follows the rule for overdue ones: back to the queue while attempts remain, else dead.
  INSERT INTO llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
    lease_id, worker_id, attempts, max_attempts)
  SELECT bloom_runtime_legacy.as_uuid(r ->> 'id'), coalesce(r ->> 'context_id', ''), coalesce(r ->> 'agent_slug', ''),
    coalesce(r ->> 'prompt', ''), bloom_runtime_legacy.as_list(r -> 'context_hints'),
    bloom_runtime_legacy.as_object(r -> 'policy', '{"timeout_sec": 120, "budget": 0}'),
    bloom_runtime_legacy.one_of(r ->> 'desired_format', ARRAY['text', 'json'], 'text'), new_status, created_at,
    bloom_runtime_legacy.as_int(r -> 'updated_at', created_at),
    CASE WHEN new_status = 'queued' THEN NULL ELSE bloom_runtime_legacy.as_uuid(coalesce(h.lease_id, r ->> 'lease_id')) END,
    CASE WHEN new_status = 'queued' THEN NULL ELSE coalesce(h.worker_id, r ->> 'worker_id') END,
    attempts, max_attempts
  FROM bloom_runtime_legacy.llm_tasks_rows
  LEFT JOIN bloom_runtime_legacy.holders h ON h.task_id = r ->> 'id'
  CROSS JOIN LATERAL (
    SELECT bloom_runtime_legacy.as_int(r -> 'created_at', adopted_at) AS created_at,
      bloom_runtime_legacy.as_int(r -> 'attempts', 0) AS attempts,
      bloom_runtime_legacy.as_int(r -> 'max_attempts', 3) AS max_attempts
  ) numbers
  CROSS JOIN LATERAL (
    SELECT CASE
      WHEN r ->> 'status' IN ('leased', 'running') AND h.lease_id IS NULL THEN CASE WHEN attempts < max_attempts THEN 'queued' ELSE 'dead' END
      ELSE bloom_runtime_legacy.one_of(r ->> 'status', ARRAY['queued', 'leased', 'running', 'completed', 'failed', 'dead'], 'failed')
    END AS new_status
  ) moved;

  INSERT INTO workers (id, node_id, url, status, capabilities, last_heartbeat, ip_addrs, obs_count, db_sha, registered_at,
    agent_version, os_info, install_method)
  SELECT r ->> 'id', coalesce(r ->> 'node_id', r ->> 'id'), coalesce(r ->> 'url', ''),
    bloom_runtime_legacy.one_of(r ->> 'status', ARRAY['online', 'offline', 'syncing', 'error', 'unknown'], 'unknown'),
    jsonb_build_object(
      'claude_cli', coalesce(r #>> '{capabilities,claude_cli}', 'true') <> 'false',
      'max_concurrency', least(greatest(bloom_runtime_legacy.as_int(r #> '{capabilities,max_concurrency}', 1), 1), 32),
      'labels', bloom_runtime_legacy.as_list(r #> '{capabilities,labels}')
    ),
    bloom_runtime_legacy.as_int(r -> 'last_heartbeat', NULL), bloom_runtime_legacy.as_list(r -> 'ip_addrs'),
    least(bloom_runtime_legacy.as_int(r -> 'obs_count', 0), 2147483647), coalesce(r ->> 'db_sha', ''),
    bloom_runtime_legacy.as_int(r -> 'registered_at', adopted_at),
    coalesce(r ->> 'agent_version', ''), coalesce(r ->> 'os_info', ''), coalesce(r ->> 'install_method', '')
  FROM bloom_runtime_legacy.workers_rows;

  INSERT INTO runtime_artifacts (id, task_id, job_id, type, created_at, finalized, url, entity_refs, tags, content)
  SELECT bloom_runtime_legacy.as_uuid(r ->> 'id'), coalesce(bloom_runtime_legacy.as_uuid(r ->> 'task_id'), md5('')::uuid), r ->> 'job_id',
    coalesce(r ->> 'type', 'LLM_RESULT'), bloom_runtime_legacy.as_int(r -> 'created_at', adopted_at),
    coalesce(r ->> 'finalized', 'true') = 'true', r ->> 'url', bloom_runtime_legacy.as_list(r -> 'entity_refs'),
    bloom_runtime_legacy.as_list(r -> 'tags'), r ->> 'content'
  FROM bloom_runtime_legacy.runtime_artifacts_rows;

  INSERT INTO llm_results (id, task_id, worker_id, artifact_id, status, output, error_message, metrics, completed_at)
  SELECT bloom_runtime_legacy.as_uuid(r ->> 'id'), coalesce(bloom_runtime_legacy.as_uuid(r ->> 'task_id'), md5('')::uuid),
    coalesce(r ->> 'worker_id', ''), coalesce(bloom_runtime_legacy.as_uuid(r ->> 'artifact_id'), md5('')::uuid),
    bloom_runtime_legacy.one_of(r ->> 'status', ARRAY['success', 'error'], 'error'), r ->> 'output', r ->> 'error_message',
    bloom_runtime_legacy.as_object(r -> 'metrics', '{"duration_ms": 0}'), bloom_runtime_legacy.as_int(r -> 'completed_at', adopted_at)
  FROM bloom_runtime_legacy.llm_results_rows;

  INSERT INTO runtime_settings (key, value)
  SELECT r ->> 'key', coalesce(r ->> 'value', '') FROM bloom_runtime_legacy.runtime_settings_rows;

  INSERT INTO audit_logs (id, "timestamp", action, entity_type, entity_id, actor, detail)
  SELECT gen_random_uuid(), adopted_at, 'adoption_repaired', entity_type, entity_id, 'migration', detail
  FROM (
    SELECT 'lease' AS entity_type, l.id::text AS entity_id,
      format('Lease of task %s by worker %s was %s and is now %s: a task has one active lease, and only while it is leased or running',
        l.task_id, l.worker_id, r ->> 'status', l.status) AS detail
    FROM bloom_runtime_legacy.leases_rows JOIN leases l ON l.id = bloom_runtime_legacy.as_uuid(r ->> 'id')
    WHERE l.status IS DISTINCT FROM r ->> 'status'
    UNION ALL
    SELECT 'llm_task', t.id::text, format('Status was %s and is now %s: attempt %s of %s had no active lease, or the status was unknown',
      r ->> 'status', t.status, t.attempts, t.max_attempts)
    FROM bloom_runtime_legacy.llm_tasks_rows JOIN llm_tasks t ON t.id = bloom_runtime_legacy.as_uuid(r ->> 'id')
    WHERE t.status IS DISTINCT FROM r ->> 'status'
    UNION ALL
    SELECT 'llm_task', t.id::text, format('Lease was %s (worker %s) and is now %s (worker %s): a held task names its active lease, a queued one none',
      coalesce(r ->> 'lease_id', 'none'), coalesce(r ->> 'worker_id', 'none'), coalesce(t.lease_id::text, 'none'), coalesce(t.worker_id, 'none'))
    FROM bloom_runtime_legacy.llm_tasks_rows JOIN llm_tasks t ON t.id = bloom_runtime_legacy.as_uuid(r ->> 'id')
    WHERE (t.lease_id, t.worker_id) IS DISTINCT FROM (bloom_runtime_legacy.as_uuid(r ->> 'lease_id'), r ->> 'worker_id')
    UNION ALL
    SELECT 'worker', w.id, format('Status was %s and is now %s; capabilities were %s and are now %s', r ->> 'status', w.status,
      r ->> 'capabilities', w.capabilities)
    FROM bloom_runtime_legacy.workers_rows JOIN workers w ON w.id = r ->> 'id'
    WHERE w.status IS DISTINCT FROM r ->> 'status' OR NOT coalesce(r -> 'capabilities', 'null') @> w.capabilities
    UNION ALL
    SELECT entity_type, bloom_runtime_legacy.as_uuid(r ->> 'id')::text, format('Id was %s, which is no UUID', r ->> 'id')
    FROM (
      SELECT 'llm_task' AS entity_type, r FROM bloom_runtime_legacy.llm_tasks_rows
      UNION ALL SELECT 'lease', r FROM bloom_runtime_legacy.leases_rows
      UNION ALL SELECT 'artifact', r FROM bloom_runtime_legacy.runtime_artifacts_rows
      UNION ALL SELECT 'result', r FROM bloom_runtime_legacy.llm_results_rows
      UNION ALL SELECT 'audit_log', r FROM bloom_runtime_legacy.audit_logs_rows
    ) every_row
    WHERE bloom_runtime_legacy.as_uuid(r ->> 'id')::text <> lower(r ->> 'id')
    UNION ALL
    SELECT entity_type, bloom_runtime_legacy.as_uuid(r ->> 'id')::text, format('%s was %s and was given its default', field, coalesce(r ->> field, 'missing'))
    FROM (
      SELECT 'llm_task' AS entity_type, r, unnest(ARRAY['context_hints', 'policy', 'desired_format', 'created_at', 'updated_at', 'attempts', 'max_attempts']) AS field
      FROM bloom_runtime_legacy.llm_tasks_rows
      UNION ALL
      SELECT 'lease', r, unnest(ARRAY['started_at', 'expires_at', 'ttl_seconds', 'last_heartbeat']) FROM bloom_runtime_legacy.leases_rows
      UNION ALL
      SELECT 'artifact', r, unnest(ARRAY['created_at', 'finalized', 'entity_refs', 'tags']) FROM bloom_runtime_legacy.runtime_artifacts_rows
      UNION ALL
      SELECT 'result', r, unnest(ARRAY['status', 'metrics', 'completed_at']) FROM bloom_runtime_legacy.llm_results_rows
    ) required
    WHERE r ->> field IS NULL
  ) repair;

  DROP TABLE bloom_runtime_legacy.holders;
  FOREACH name IN ARRAY known LOOP
    EXECUTE format('DROP VIEW bloom_runtime_legacy.%I', name || '_rows');
    EXECUTE format('DROP TABLE bloom_runtime_legacy.%I', name);
  END LOOP;
  DROP FUNCTION bloom_runtime_legacy.as_uuid, bloom_runtime_legacy.as_int, bloom_runtime_legacy.as_list, bloom_runtime_legacy.as_object, bloom_runtime_legacy.one_of;
  DROP SCHEMA bloom_runtime_legacy;
END
$$;
