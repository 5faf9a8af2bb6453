CREATE TABLE "runtime_queue_head" (
	"name" text PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"since" bigint NOT NULL,
	"is_told" boolean NOT NULL
);
