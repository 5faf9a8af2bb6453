-- Counts with a view of the data of its own, newer than that of the statement that calls it: a statement that has locked the worker sees
-- what others had committed before it got the lock (fleet/capacity.ts).
CREATE FUNCTION bloom_runtime.count_active_leases(worker text) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN (SELECT count(*) FROM leases WHERE worker_id = worker AND status = 'active');
END
$$;
