CREATE TABLE "runtime_usage_months" (
	"dimension" text NOT NULL,
	"month" date NOT NULL,
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
	CONSTRAINT "runtime_usage_months_dimension_month_key_pk" PRIMARY KEY("dimension","month","key")
);--> statement-breakpoint
INSERT INTO "runtime_usage_months" (dimension, month, key, attempts, duration_ms, tokens, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, num_turns, cost_microusd)
SELECT dimension, date_trunc('month', day::timestamp)::date, key, sum(attempts), sum(duration_ms), sum(tokens), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(num_turns), sum(cost_microusd)
FROM "runtime_usage" WHERE dimension <> 'day' GROUP BY 1, 2, 3;
