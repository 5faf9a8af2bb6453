-- The set of labels as the sorted array of their hashes (60 bits of MD5), so that an index has the sets in the order of a dictionary. Two labels with
-- the same hash would share a place in the index only: whoever reads it compares the labels themselves as well.
CREATE FUNCTION bloom_runtime.label_key(labels jsonb) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF labels = '[]' THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(
    SELECT DISTINCT ('x' || left(md5(label), 15))::bit(60)::bigint AS hash FROM jsonb_array_elements_text(labels) AS label ORDER BY hash
  );
END
$$;
--> statement-breakpoint
-- Where the next subset of "labels" after "key" can stand at the earliest, in the order of the index: past everything that begins with the same
-- label that is not among them. Hashes lie between -1 and the largest bigint.
CREATE FUNCTION bloom_runtime.next_label_key(key bigint[], labels bigint[]) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  place integer;
BEGIN
  FOR n IN 1 .. cardinality(key) LOOP
    place := width_bucket(key[n], labels);
    IF place = 0 OR labels[place] <> key[n] THEN
      RETURN key[: n - 1] || coalesce(labels[place + 1], 9223372036854775807);
    END IF;
  END LOOP;
  RETURN key || -1::bigint;
END
$$;
--> statement-breakpoint
DROP INDEX "llm_tasks_queued";--> statement-breakpoint
CREATE INDEX "llm_tasks_queued_by_labels" ON "llm_tasks" USING btree (bloom_runtime.label_key("requires"),coalesce(greatest("not_before", "retry_at"), 0),"created_at","id") WHERE "llm_tasks"."status" = 'queued';--> statement-breakpoint
CREATE INDEX "llm_tasks_queued_by_agent" ON "llm_tasks" USING btree (bloom_runtime.label_key("requires"),"agent_slug",coalesce(greatest("not_before", "retry_at"), 0),"created_at","id") WHERE "llm_tasks"."status" = 'queued';--> statement-breakpoint
CREATE INDEX "llm_tasks_queued_lately" ON "llm_tasks" USING btree (greatest("updated_at", "not_before", "retry_at")) WHERE "llm_tasks"."status" = 'queued';