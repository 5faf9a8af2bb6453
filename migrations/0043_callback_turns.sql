CREATE TABLE "runtime_callback_turns" (
	"target" text PRIMARY KEY NOT NULL,
	"due_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "runtime_callback_turns_due" ON "runtime_callback_turns" USING btree ("due_at");--> statement-breakpoint
-- A target of callbacks comes to its turn when something is queued for it, or is due earlier than it was. Whatever writes a delivery need not know.
CREATE FUNCTION bloom_runtime.give_callback_a_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO runtime_callback_turns AS turn (target, due_at) VALUES (NEW.target, NEW.next_at)
  ON CONFLICT (target) DO UPDATE SET due_at = excluded.due_at WHERE turn.due_at > excluded.due_at;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER callbacks_are_queued AFTER INSERT ON runtime_webhook_deliveries
  FOR EACH ROW WHEN (NEW.url IS NOT NULL AND NEW.state = 'pending') EXECUTE FUNCTION bloom_runtime.give_callback_a_turn();
--> statement-breakpoint
CREATE TRIGGER callbacks_are_due_earlier AFTER UPDATE OF next_at, state ON runtime_webhook_deliveries
  FOR EACH ROW WHEN (NEW.url IS NOT NULL AND NEW.state = 'pending' AND (NEW.next_at < OLD.next_at OR OLD.state <> 'pending'))
  EXECUTE FUNCTION bloom_runtime.give_callback_a_turn();
--> statement-breakpoint
INSERT INTO runtime_callback_turns (target, due_at)
SELECT target, min(next_at) FROM runtime_webhook_deliveries WHERE url IS NOT NULL AND state = 'pending' GROUP BY target;
