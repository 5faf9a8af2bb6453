import { z } from "zod";
import { alive, health, notReady, ready, refusal } from "../contract/service-answers.ts";
import type { Db } from "../db/client.ts";
import { checkDatabaseHealth } from "../db/health.ts";
import { countPendingMigrations } from "../db/migrate.ts";
import type { Disk } from "../disk-space.ts";
import { messageOf } from "../errors.ts";
import type { Membridge } from "../fleet/membridge.ts";
import { RETRY_AFTER_SECONDS } from "./error-answers.ts";
import { type Route, route } from "./route.ts";

/** How long an answer of the database is used again: `/readyz` needs no key and has no limit. */
const KEPT_MS = 1_000;

/**
 * The service's health, for people and monitoring; `/livez` and `/readyz`, for what starts the service again, and for what sends it requests.
 * These two count for no limit: a supervisor asks often.
 */
export function healthRoutes(membridge: Membridge, disk: Disk, stopping: AbortSignal): Route[] {
  let known: { reason: Promise<string | undefined>; until: number } | undefined;
  const databaseReason = (db: Db) => {
    if (!known || performance.now() > known.until)
      known = { reason: whyDatabaseIsNotReady(db), until: performance.now() + KEPT_MS };
    return known.reason;
  };
  return [
    route({
      name: "getHealth",
      summary: "Ask how the service is",
      method: "get",
      path: "/api/runtime/health",
      access: "anybody",
      answers: {
        200: { means: "It can do its work.", json: health },
        503: {
          means: "Its database cannot do its work, or it is starting.",
          json: z.union([health, refusal]),
          headers: ["Retry-After"],
        },
      },
      handle: async ({ response, db }) => {
        const [database, shortage] = await Promise.all([checkDatabaseHealth(db), disk.shortage()]);
        if (database !== "ok") response.set("Retry-After", String(RETRY_AFTER_SECONDS));
        response.status(database === "ok" ? 200 : 503).json({
          status: database === "ok" ? "ok" : "degraded",
          service: "bloom-runtime",
          uptime: Math.floor(process.uptime()),
          storage: "postgresql",
          database,
          ...(shortage !== undefined && { disk: shortage }),
          membridge: membridge.state(),
        });
      },
    }),
    route({
      name: "getLiveness",
      summary: "Ask whether the process is alive",
      method: "get",
      path: "/livez",
      access: "anybody",
      limit: "none",
      isProbe: true,
      answers: { 200: { means: "It is.", json: alive } },
      handle: ({ response }) => response.json({ status: "alive" }),
    }),
    route({
      name: "getReadiness",
      summary: "Ask whether requests may be sent",
      method: "get",
      path: "/readyz",
      access: "anybody",
      limit: "none",
      isProbe: true,
      answers: {
        200: { means: "They may.", json: ready },
        503: {
          means: "The service starts or stops, or its database cannot do its work.",
          json: notReady,
          headers: ["Retry-After"],
        },
      },
      handle: async ({ response, db }) => {
        const error = stopping.aborted ? "The service is stopping." : await databaseReason(db);
        if (error === undefined) response.json({ status: "ready" });
        else response.status(503).set("Retry-After", String(RETRY_AFTER_SECONDS)).json({ status: "not ready", error });
      },
    }),
  ];
}

/** Why requests cannot be served now, as a sentence; undefined when they can. */
async function whyDatabaseIsNotReady(db: Db): Promise<string | undefined> {
  const health = await checkDatabaseHealth(db);
  if (health !== "ok") return health;
  try {
    const pending = await countPendingMigrations(db);
    return pending === 0
      ? undefined
      : `The database lacks ${pending} migration(s) of this version: restart the service.`;
  } catch (error) {
    db.log.warn({ reason: messageOf(error) }, "it is not known whether the database is up to date");
    return "The database did not say whether it is up to date; the service's log says why.";
  }
}
