import { join } from "node:path";
import * as requests from "../contract/requests.ts";
import { databaseHealth } from "../db/health.ts";
import type { Membridge } from "../fleet/membridge.ts";
import { testConnection } from "../fleet/test-connection.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Settings } from "../settings/settings.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";

const WORKER_SCRIPT = join(PACKAGE_FOLDER, "src/worker/worker.sh");

/** `/api/runtime/…`: the service itself, its health and its configuration. */
export function runtimeRoutes(settings: Settings, membridge: Membridge): Route[] {
  return [
    route({
      name: "getHealth",
      method: "get",
      path: "/api/runtime/health",
      access: "anybody",
      handle: async ({ response, db }) => {
        const database = await databaseHealth(db);
        response.status(database === "ok" ? 200 : 503).json({
          status: database === "ok" ? "ok" : "degraded",
          service: "bloom-runtime",
          uptime: Math.floor(process.uptime()),
          storage: "postgresql",
          database,
          membridge: membridge.state(),
        });
      },
    }),
    route({
      name: "getWorkerScript",
      method: "get",
      path: "/api/runtime/worker.sh",
      access: ["work", "read", "submit"],
      // The checkout may lie under a directory whose name begins with a dot.
      handle: ({ response }) => response.type("text/x-shellscript").sendFile(WORKER_SCRIPT, { dotfiles: "allow" }),
    }),
    route({
      name: "getConfig",
      method: "get",
      path: "/api/runtime/config",
      access: READERS,
      handle: async ({ response }) => response.json(await settings.view()),
    }),
    route({
      name: "saveConfig",
      method: "post",
      path: "/api/runtime/config",
      access: ADMINS,
      schema: requests.saveConfig,
      handle: async ({ response, caller, body }) => {
        await settings.save(caller, body());
        response.json(await settings.view());
      },
    }),
    route({
      name: "testConnection",
      method: "post",
      path: "/api/runtime/test-connection",
      access: "anybody",
      limit: "connection tests",
      handle: async ({ response, db, caller }) => response.json(await testConnection(db, caller, settings, membridge)),
    }),
  ];
}
