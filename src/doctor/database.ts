/** What can be said of the database, and of the queue in it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { gt, sql } from "drizzle-orm";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import type { Db } from "../db/client.ts";
import { databaseTime, nowMs } from "../db/clock.ts";
import { checkDatabaseHealth } from "../db/health.ts";
import { countPendingMigrations } from "../db/migrate.ts";
import { retention } from "../db/retention-table.ts";
import { readGauges } from "../queue/gauges.ts";
import type { KeptDays } from "../retention/retain-once.ts";
import { createSecretBox, type SecretBox } from "../saved-config/secret-box.ts";
import { isSettingsKeyRight } from "../saved-config/settings-key-check.ts";
import { readOrMakeSettingsKey } from "../saved-config/settings-key-file.ts";
import { type Finding, note, ok, timeOf, wrong } from "./finding.ts";

/** Log lines and the object store's signatures have this machine's time; leases have the database's. */
const CLOCK_OFF_MS = 5_000;
const CLOCK_WRONG_MS = 60_000;
const LONG_WAIT_MS = 15 * 60_000;
/** A receiver that fails is tried again after seconds, minutes, and then hours. */
const LONG_DELIVERY_MS = 3_600_000;
const NOBODY_WORKS_MS = 60_000;
/** A pass over old records is made every 5 minutes at least. */
const LATE_PASS_MS = 3_600_000;
/** A sweep may be late by its interval and its own time. */
const SWEEP_MARGIN_MS = 60_000;

export async function checkWritable(db: Db): Promise<Finding> {
  const health = await checkDatabaseHealth(db);
  if (health !== "ok") return wrong(health, "See what the database's own log says.");
  const { rows } = await db.execute<{ version: string; size: string }>(
    sql`select current_setting('server_version') as version, pg_size_pretty(pg_database_size(current_database())) as size`,
  );
  return ok(`PostgreSQL ${rows[0]?.version} takes changes; the database has ${rows[0]?.size}`);
}

/** Each process of an instance takes the connections of its pool, and another that listens. A busy process needs all of them. */
export async function checkConnections(
  db: Db,
  { processes, databasePoolMax }: Pick<Config, "processes" | "databasePoolMax">,
): Promise<Finding> {
  const { rows } = await db.execute<{ most: number; used: number }>(sql`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
      (select count(*) from pg_stat_activity where backend_type = 'client backend')::int as used`);
  const { most = 0, used = 0 } = rows[0] ?? {};
  const needed = processes * (databasePoolMax + 1);
  const sentence = `${used} of the database's ${most} connections are in use; an instance takes up to ${needed}`;
  if (most - used >= needed) return ok(sentence);
  return note(`${sentence}.`, "Raise max_connections in PostgreSQL, or set a smaller DB_POOL_MAX.");
}

export async function checkMigrations(db: Db): Promise<Finding> {
  const mend = "Start the service, or run `npm run db:migrate`.";
  const { rows } = await db.execute<{ name: string | null }>(
    sql`select to_regclass('bloom_runtime.migrations')::text as name`,
  );
  if (rows[0]?.name == null) return wrong("The database has no tables of this service yet.", mend);
  const pending = await countPendingMigrations(db);
  return pending === 0
    ? ok("The tables are those of this version")
    : wrong(`The database lacks ${pending} migration(s).`, mend);
}

export async function checkClock(db: Db): Promise<Finding> {
  const before = Date.now();
  const theirs = await databaseTime(db);
  const aheadMs = (before + Date.now()) / 2 - theirs;
  const off = Math.abs(aheadMs);
  if (off < CLOCK_OFF_MS) return ok("The clocks of this machine and of the database agree");
  const sentence = `This machine's clock is ${timeOf(off)} ${aheadMs > 0 ? "ahead of" : "behind"} the database's.`;
  const mend =
    "Set both by NTP (`timedatectl set-ntp true`). Leases go by the database's, logs and the object store by this machine's.";
  return off < CLOCK_WRONG_MS ? note(sentence, mend) : wrong(sentence, mend);
}

/** What opens the saved settings; undefined where no key is there yet. No key file is made: the service does that at its first start. */
export async function findSettingsBox(config: Config, log: Logger): Promise<SecretBox | undefined> {
  const { settingsKey, settingsKeysPrevious, dataDir } = config;
  if (settingsKey === undefined && !existsSync(join(dataDir, "settings.key"))) return undefined;
  return createSecretBox(await readOrMakeSettingsKey(settingsKey, dataDir, log), ...settingsKeysPrevious);
}

export async function reportSettingsKey(db: Db, config: Config, log: Logger): Promise<Finding> {
  const box = await findSettingsBox(config, log);
  if (!box)
    return note(
      `There is no SETTINGS_KEY and no ${join(config.dataDir, "settings.key")}.`,
      "The first start makes that file. With several machines, set the same SETTINGS_KEY on all.",
    );
  if (await isSettingsKeyRight(db, box)) return ok("The settings key opens what is saved");
  return wrong(
    "The settings in the database are encrypted with another key than this machine has.",
    "Give every instance the same SETTINGS_KEY (or settings.key), also the old one after a restore. If that is lost, save the configuration again (POST /api/runtime/config) and make each webhook a new secret (POST /api/runtime/webhooks/<id>/rotate): webhooks cannot be signed either.",
  );
}

/** What is removed after a time, and whether that is done. A pass may take hours, and has its turn meanwhile. */
export async function checkRetention(db: Db, { tasks, auditEntries }: KeptDays): Promise<Finding> {
  if (tasks === 0 && auditEntries === 0)
    return ok("Tasks and audit entries are kept for ever (RETENTION_DAYS, AUDIT_RETENTION_DAYS)");
  const [last] = await db
    .select({
      agoMs: sql<number | null>`(${nowMs} - ${retention.passed_at})::float8`,
      isAtIt: gt(retention.held_until, nowMs),
    })
    .from(retention);
  const days = [
    tasks > 0 && `ended tasks for ${tasks} days`,
    auditEntries > 0 && `audit entries for ${auditEntries} days`,
  ];
  const kept = `Kept are ${days.filter(Boolean).join(" and ")}`;
  if (last?.isAtIt || (last?.agoMs ?? LATE_PASS_MS) < LATE_PASS_MS) return ok(kept);
  const mend = 'Start the service with these settings; if it runs, its log says why the loop "retention" fails.';
  return typeof last?.agoMs === "number"
    ? wrong(`${kept}, but the last pass over them ended ${timeOf(last.agoMs)} ago.`, mend)
    : note(`${kept}, but no pass over them was made yet.`, mend);
}

/** A webhook is off by an admin's wish, or since its receiver took nothing for three days. */
export async function checkWebhooks(db: Db): Promise<Finding[]> {
  const { pending, oldest_ms, off } = (await readGauges(db)).webhooks;
  const waits = `${pending} message(s) to webhooks wait, the oldest for ${timeOf(oldest_ms)}`;
  const findings = [
    oldest_ms > LONG_DELIVERY_MS
      ? note(`${waits}.`, "GET /api/runtime/webhook-deliveries?state=pending says what their receivers answered.")
      : ok(pending === 0 ? "No message to a webhook waits" : waits),
  ];
  if (off > 0)
    findings.push(
      note(`${off} webhook(s) are off.`, 'GET /api/runtime/webhooks says why; PATCH with {"on": true} turns one on.'),
    );
  return findings;
}

/** Overdue leases say that no sweep runs; due tasks that nobody works on, that the fleet is away. */
export async function checkQueue(db: Db, sweepIntervalMs: number): Promise<Finding[]> {
  const { rows } = await db.execute<{ overdue_ms: number }>(
    sql`select coalesce(max(${nowMs} - expires_at), 0)::float8 as overdue_ms from leases where status = 'active'`,
  );
  const overdueMs = rows[0]?.overdue_ms ?? 0;
  const { oldest_due_ms, workers, slots, accounts } = await readGauges(db);
  const online = workers.online ?? 0;
  const findings: Finding[] = [
    overdueMs > sweepIntervalMs + SWEEP_MARGIN_MS
      ? wrong(
          `A lease is overdue for ${timeOf(overdueMs)}: nothing sweeps.`,
          'Start the service; if it runs, its log says why the loop "lease sweep" fails.',
        )
      : ok("No lease is overdue for long"),
    online === 0
      ? note("No worker is online.", "Start one: `npm run worker`.")
      : ok(`${online} worker(s) online, ${slots.used} slot(s) used and ${slots.free} free`),
  ];
  const waits = `The task that is due for longest has waited ${timeOf(oldest_due_ms)}`;
  if (oldest_due_ms > NOBODY_WORKS_MS && online === 0)
    findings.push(
      wrong(`${waits}, and no worker is online.`, "Start a worker, or see on their machines why they are gone."),
    );
  else if (oldest_due_ms > LONG_WAIT_MS)
    findings.push(
      note(
        `${waits}.`,
        "GET /api/runtime/llm-tasks/<its id>/explain says why; the oldest are at the end of GET /api/runtime/llm-tasks?status=queued.",
      ),
    );
  else findings.push(ok(oldest_due_ms === 0 ? "No task waits" : waits));
  if (accounts.limited > 0)
    findings.push(
      note(`${accounts.limited} account(s) at a limit.`, "GET /api/runtime/accounts says which, and until when."),
    );
  return findings;
}
