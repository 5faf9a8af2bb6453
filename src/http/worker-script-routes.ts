import { join } from "node:path";
import * as queries from "../contract/queries.ts";
import { refusal } from "../contract/service-answers.ts";
import { installScript } from "../fleet/worker-install-script.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Answers } from "./answer-declarations.ts";
import { reachedAddress } from "./reached-address.ts";
import { type Route, route } from "./route.ts";

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

/** `/api/runtime/…`: the shell worker, and the script that installs it. */
export function workerScriptRoutes(publicUrl: string | undefined): Route[] {
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
      name: "getInstallScript",
      summary: "Read a script that installs the shell worker",
      method: "get",
      path: "/api/runtime/agent-install-script",
      // A worker's machine reads it with the worker's key.
      access: ["read", "submit", "work"],
      query: queries.installScript,
      answers: {
        200: { means: "The script. It holds no key.", other: { "text/x-shellscript": "A script for `sh`." } },
      },
      handle: ({ request, response, query }) => {
        const { node_id, server_url } = query();
        const server = server_url ?? publicUrl ?? reachedAddress(request);
        response.type("text/x-shellscript").send(installScript(server, node_id));
      },
    }),
  ];
}
