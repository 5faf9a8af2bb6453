CREATE UNLOGGED TABLE "runtime_rate_counts" (
	"key" text PRIMARY KEY NOT NULL,
	"hits" integer NOT NULL,
	"ends_at" bigint NOT NULL
);
