CREATE TABLE "runtime_live_output" (
	"position" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "runtime_live_output_position_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"task_id" uuid NOT NULL,
	"lease_id" uuid NOT NULL,
	"seq" integer NOT NULL,
	"text" text NOT NULL,
	"bytes" integer NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "runtime_live_output_by_task" ON "runtime_live_output" USING btree ("task_id","position");--> statement-breakpoint
CREATE UNIQUE INDEX "runtime_live_output_once" ON "runtime_live_output" USING btree ("lease_id","seq");