import { membridgeConfigRecord } from "../contract/membridge-config-record.ts";
import * as requests from "../contract/requests.ts";
import { connectionTest } from "../contract/service-answers.ts";
import { checkMembridge } from "../fleet/check-membridge.ts";
import type { Membridge } from "../fleet/membridge.ts";
import type { MembridgeConfig } from "../saved-config/membridge-config.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";

/** `/api/runtime/config`: where Membridge is. */
export function membridgeConfigRoutes(membridgeConfig: MembridgeConfig, membridge: Membridge): Route[] {
  return [
    route({
      name: "getConfig",
      summary: "Read where Membridge is",
      method: "get",
      path: "/api/runtime/config",
      access: READERS,
      answers: { 200: { means: "The configuration, with the key masked.", json: membridgeConfigRecord } },
      handle: async ({ response }) => response.json(await membridgeConfig.view()),
    }),
    route({
      name: "saveConfig",
      summary: "Save where Membridge is",
      method: "post",
      path: "/api/runtime/config",
      access: ADMINS,
      schema: requests.saveConfigBody,
      answers: { 200: { means: "The configuration as it is saved.", json: membridgeConfigRecord } },
      handle: async ({ response, caller, body }) => {
        await membridgeConfig.save(caller, body());
        response.json(await membridgeConfig.view());
      },
    }),
    route({
      name: "testConnection",
      summary: "Ask Membridge whether it answers",
      method: "post",
      path: "/api/runtime/test-connection",
      access: "anybody",
      limit: "connection tests",
      answers: { 200: { means: "How it went.", json: connectionTest } },
      handle: async ({ response, db, caller }) =>
        response.json(await checkMembridge(db, caller, membridgeConfig, membridge)),
    }),
  ];
}
