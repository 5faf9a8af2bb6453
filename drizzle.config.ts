import { defineConfig } from "drizzle-kit";
import { getTableName, is } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import * as auditTable from "./src/db/audit-table.ts";
import * as fleetTables from "./src/db/fleet-tables.ts";
import * as liveOutputTable from "./src/db/live-output-table.ts";
import * as outputTables from "./src/db/output-tables.ts";
import * as rateCountTable from "./src/db/rate-count-table.ts";
import * as retentionTable from "./src/db/retention-table.ts";
import * as settingsTables from "./src/db/settings-tables.ts";
import * as stallTable from "./src/db/stall-table.ts";
import * as taskTables from "./src/db/task-tables.ts";
import * as usageTables from "./src/db/usage-tables.ts";
import * as webhookTables from "./src/db/webhook-tables.ts";

const ours = [
  taskTables,
  auditTable,
  fleetTables,
  outputTables,
  settingsTables,
  usageTables,
  liveOutputTable,
  rateCountTable,
  stallTable,
  webhookTables,
  retentionTable,
]
  .flatMap((tables) => Object.values<unknown>(tables))
  .filter((exported) => is(exported, PgTable))
  .map(getTableName);

/**
 * The database is shared with other services, so drizzle-kit is confined to our own tables: without `tablesFilter`,
 * a push would offer to drop theirs. The bookkeeping of applied migrations has a schema of its own for the same reason.
 */
export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./src/db/task-tables.ts",
    "./src/db/audit-table.ts",
    "./src/db/fleet-tables.ts",
    "./src/db/output-tables.ts",
    "./src/db/settings-tables.ts",
    "./src/db/usage-tables.ts",
    "./src/db/live-output-table.ts",
    "./src/db/stall-table.ts",
    "./src/db/rate-count-table.ts",
    "./src/db/webhook-tables.ts",
    "./src/db/retention-table.ts",
  ],
  out: "./migrations",
  schemaFilter: ["public"],
  tablesFilter: ours,
  migrations: { schema: "bloom_runtime", table: "migrations" },
  dbCredentials: { url: process.env.DATABASE_URL ?? "" },
});
