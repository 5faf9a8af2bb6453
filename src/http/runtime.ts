import { join } from "node:path";
import { Router } from "express";
import type { Logger } from "pino";
import * as requests from "../contract/requests.ts";
import { ping } from "../db/ping.ts";
import type { Membridge } from "../fleet/membridge.ts";
import { testConnection } from "../fleet/test-connection.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Settings } from "../settings/settings.ts";
import type { DbFor } from "./callers.ts";
import { bodyOf } from "./input.ts";
import { shortBody } from "./json-body.ts";

const WORKER_SCRIPT = join(PACKAGE_FOLDER, "src/worker/worker.sh");

/** `/api/runtime/…`: the service itself, its health and its configuration. */
export function runtimeRoutes(dbFor: DbFor, settings: Settings, membridge: Membridge, log: Logger): Router {
  const router = Router();

  router.get("/health", async (_request, response) => {
    const healthy = await ping(dbFor(response), log);
    response.status(healthy ? 200 : 503).json({
      status: healthy ? "ok" : "degraded",
      service: "bloom-runtime",
      uptime: Math.floor(process.uptime()),
      storage: "postgresql",
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

  router.post("/config", shortBody, async (request, response) => {
    await settings.save(bodyOf(requests.saveConfig, request), dbFor(response));
    response.json(await settings.view());
  });

  router.post("/test-connection", shortBody, async (_request, response) => {
    response.json(await testConnection(dbFor(response), settings, membridge));
  });

  return router;
}
