import { defineConfig } from "drizzle-kit";

/**
 * The database is shared with other services, so drizzle-kit is confined to our own tables: without `tablesFilter`,
 * a push would offer to drop theirs. The bookkeeping of applied migrations has a schema of its own for the same reason.
 */
export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./src/db/schema.ts",
    "./src/db/fleet-tables.ts",
    "./src/db/output-tables.ts",
    "./src/db/settings-tables.ts",
    "./src/db/usage-tables.ts",
    "./src/db/live-output-table.ts",
  ],
  out: "./migrations",
  schemaFilter: ["public"],
  tablesFilter: [
    "llm_tasks",
    "leases",
    "workers",
    "runtime_accounts",
    "runtime_cli_sessions",
    "runtime_new_usage",
    "runtime_usage",
    "runtime_live_output",
    "runtime_artifacts",
    "llm_results",
    "runtime_staged_outputs",
    "runtime_output_chunks",
    "audit_logs",
    "runtime_settings",
    "runtime_api_keys",
  ],
  migrations: { schema: "bloom_runtime", table: "migrations" },
  dbCredentials: { url: process.env.DATABASE_URL ?? "" },
});
