-- Whoever waits for a task hears of it at once: when one is queued, and when a lease ends, which may make room for another. Within a
-- transaction equal notifications are sent once. They are hints only; queue/waiting-room.ts looks around by itself as well.
CREATE FUNCTION bloom_runtime.tell_queue_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('bloom_runtime_queue', '');
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER llm_tasks_tell_of_a_new_one AFTER INSERT ON llm_tasks
  FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION bloom_runtime.tell_queue_news();
--> statement-breakpoint
CREATE TRIGGER llm_tasks_tell_of_one_queued_again AFTER UPDATE OF status ON llm_tasks
  FOR EACH ROW WHEN (NEW.status = 'queued' AND OLD.status <> 'queued') EXECUTE FUNCTION bloom_runtime.tell_queue_news();
--> statement-breakpoint
CREATE TRIGGER leases_tell_of_one_that_ends AFTER UPDATE OF status ON leases
  FOR EACH ROW WHEN (OLD.status = 'active' AND NEW.status <> 'active') EXECUTE FUNCTION bloom_runtime.tell_queue_news();
