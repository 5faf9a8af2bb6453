import { join } from "node:path";
import * as queries from "../contract/queries.ts";
import { agentHealthAnswer, passedOn, refusal } from "../contract/service-answers.ts";
import { AGENT_ACTIONS, type AgentAction, agentHealth, askAgentTo } from "../fleet/ask-agent.ts";
import type { AgentCalls } from "../fleet/call-agent.ts";
import { installScript } from "../fleet/install-script.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import { type Answers, NO_WORKER } from "./declared-answers.ts";
import { originOf } from "./redirect-to-https.ts";
import { ADMINS, type Route, route } from "./route.ts";
import { storableName } from "./worker-routes.ts";

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

/** `/api/runtime/…`: the agents of workers, and how a worker is installed. */
export function agentRoutes(agents: AgentCalls, publicUrl: string | undefined): Route[] {
  const actions = Object.keys(AGENT_ACTIONS) as AgentAction[];
  return [
    // For admins only, since it makes the service call the agent.
    route({
      name: "getAgentHealth",
      summary: "Ask a worker's agent how it is",
      method: "get",
      path: "/api/runtime/workers/:id/agent-health",
      access: ADMINS,
      answers: { 200: { means: "What it says, or why it was not reached.", json: agentHealthAnswer }, ...NO_WORKER },
      handle: async ({ response, db, params }) => response.json(await agentHealth(db, agents, storableName(params.id))),
    }),
    ...actions.map((action) =>
      route({
        name: `${action}Agent`,
        method: "post",
        path: `/api/runtime/workers/:id/agent-${action}`,
        access: ADMINS,
        summary: `Ask a worker's agent to ${action} itself`,
        answers: {
          200: { means: "The agent's answer.", json: passedOn },
          ...NO_WORKER,
          400: "The worker has no address.",
          502: "The agent was not reached, or did not do it.",
        },
        handle: async ({ response, db, caller, params }) =>
          response.json(await askAgentTo(db, caller, agents, storableName(params.id), action)),
      }),
    ),
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
        const server = server_url ?? publicUrl ?? originOf(request);
        response.type("text/x-shellscript").send(installScript(server, node_id));
      },
    }),
  ];
}
