CREATE TABLE "runtime_usage_totals" (
	"dimension" text NOT NULL,
	"key" text NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"duration_ms" bigint DEFAULT 0 NOT NULL,
	"tokens" bigint DEFAULT 0 NOT NULL,
	"input_tokens" bigint DEFAULT 0 NOT NULL,
	"output_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_read_tokens" bigint DEFAULT 0 NOT NULL,
	"cache_write_tokens" bigint DEFAULT 0 NOT NULL,
	"num_turns" bigint DEFAULT 0 NOT NULL,
	"cost_microusd" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "runtime_usage_totals_dimension_key_pk" PRIMARY KEY("dimension","key")
);
--> statement-breakpoint
INSERT INTO "runtime_usage_totals" (dimension, key, attempts, duration_ms, tokens, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, num_turns, cost_microusd)
SELECT dimension, key, sum(attempts), sum(duration_ms), sum(tokens), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(num_turns), sum(cost_microusd) FROM "runtime_usage_months" GROUP BY dimension, key;--> statement-breakpoint
CREATE INDEX "runtime_usage_totals_most" ON "runtime_usage_totals" USING btree ("dimension","tokens" DESC NULLS LAST,"key");--> statement-breakpoint
CREATE INDEX "runtime_usage_months_by_key" ON "runtime_usage_months" USING btree ("dimension","key","month");--> statement-breakpoint
CREATE INDEX "runtime_usage_by_key" ON "runtime_usage" USING btree ("dimension","key","day");