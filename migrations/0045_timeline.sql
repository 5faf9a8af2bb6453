-- The timeline on which the server takes changes: 8 hexadecimal digits, or null on a standby. Each promotion begins a new one. These are the first
-- digits of a WAL file's name; the timeline in pg_control may be older, since it is that of the last checkpoint. Some managed databases refuse these
-- functions or do not have them: 00000000, which no timeline is.
CREATE FUNCTION bloom_runtime.timeline() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF pg_is_in_recovery() THEN
    RETURN NULL;
  END IF;
  RETURN left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
  RETURN '00000000';
END
$$;
