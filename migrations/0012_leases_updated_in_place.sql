DROP INDEX "leases_active_by_expiry";--> statement-breakpoint
-- Room on each page for the next version of a row: a heartbeat then writes into no index.
ALTER TABLE leases SET (fillfactor = 80);--> statement-breakpoint
ALTER TABLE llm_tasks SET (fillfactor = 80);--> statement-breakpoint
ALTER TABLE workers SET (fillfactor = 50);
