import { join } from "node:path";
import { Router } from "express";
import * as requests from "../contract/requests.ts";
import { databaseHealth } from "../db/health.ts";
import type { Membridge } from "../fleet/membridge.ts";
import { testConnection } from "../fleet/test-connection.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Settings } from "../settings/settings.ts";
import type { DbFor } from "./callers.ts";
import { bodyOf } from "./input.ts";

const WORKER_SCRIPT = join(PACKAGE_FOLDER, "src/worker/worker.sh");

/** `/api/runtime/…`: the service itself, its health and its configuration. */
export function runtimeRoutes(dbFor: DbFor, settings: Settings, membridge: Membridge): Router {
  const router = Router();

  router.get("/health", async (_request, response) => {
    const database = await databaseHealth(dbFor(response));
    response.status(database === "ok" ? 200 : 503).json({
      status: database === "ok" ? "ok" : "degraded",
      service: "bloom-runtime",
      uptime: Math.floor(process.uptime()),
      storage: "postgresql",
      database,
      membridge: membridge.state(),
    });
  });

  router.get("/worker.sh", (_request, response) => {
    // The checkout may lie under a directory whose name begins with a dot.
    response.type("text/x-shellscript").sendFile(WORKER_SCRIPT, { dotfiles: "allow" });
  });

  router.get("/config", async (_request, response) => {
    response.json(await settings.view());
  });

  router.post("/config", async (request, response) => {
    await settings.save(bodyOf(requests.saveConfig, request), dbFor(response));
    response.json(await settings.view());
  });

  router.post("/test-connection", async (_request, response) => {
    response.json(await testConnection(dbFor(response), settings, membridge));
  });

  return router;
}
