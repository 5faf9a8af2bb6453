ALTER TABLE "audit_logs" ADD COLUMN "xid" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
CREATE INDEX "audit_logs_in_order" ON "audit_logs" USING btree ("xid","seq");