import { join } from "node:path";
import { configRecord } from "../contract/records.ts";
import * as requests from "../contract/requests.ts";
import { connectionTest, refusal } from "../contract/service-answers.ts";
import { checkMembridge } from "../fleet/check-membridge.ts";
import type { Membridge } from "../fleet/membridge.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Settings } from "../settings/settings.ts";
import type { Answers } from "./declared-answers.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";

const WORKER_SCRIPT = join(PACKAGE_FOLDER, "src/worker/worker.sh");

const SCRIPT_FILE: Answers = {
  200: {
    means: "The script.",
    other: { "text/x-shellscript": "A script for `sh`." },
    headers: ["ETag", "Accept-Ranges"],
  },
  206: {
    means: "The part of it that `Range` names.",
    other: { "text/x-shellscript": "Bytes." },
    headers: ["ETag", "Accept-Ranges", "Content-Range"],
  },
  304: { means: "The client has it already.", headers: ["ETag", "Accept-Ranges"] },
  416: { means: "It has no such part.", json: refusal, headers: ["ETag", "Accept-Ranges", "Content-Range"] },
};

/** The configuration: the shell worker, and where Membridge is. */
export function configRoutes(settings: Settings, membridge: Membridge): Route[] {
  return [
    route({
      name: "getWorkerScript",
      summary: "Read the shell worker",
      method: "get",
      path: "/api/runtime/worker.sh",
      access: ["work", "read", "submit"],
      answers: SCRIPT_FILE,
      // The checkout may lie under a directory whose name begins with a dot.
      handle: ({ response }) => response.type("text/x-shellscript").sendFile(WORKER_SCRIPT, { dotfiles: "allow" }),
    }),
    route({
      name: "getConfig",
      summary: "Read where Membridge is",
      method: "get",
      path: "/api/runtime/config",
      access: READERS,
      answers: { 200: { means: "The configuration, with the key masked.", json: configRecord } },
      handle: async ({ response }) => response.json(await settings.view()),
    }),
    route({
      name: "saveConfig",
      summary: "Save where Membridge is",
      method: "post",
      path: "/api/runtime/config",
      access: ADMINS,
      schema: requests.saveConfigBody,
      answers: { 200: { means: "The configuration as it is saved.", json: configRecord } },
      handle: async ({ response, caller, body }) => {
        await settings.save(caller, body());
        response.json(await settings.view());
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
      handle: async ({ response, db, caller }) => response.json(await checkMembridge(db, caller, settings, membridge)),
    }),
  ];
}
