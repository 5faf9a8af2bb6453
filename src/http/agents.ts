import { Router } from "express";
import * as queries from "../contract/queries.ts";
import { AGENT_ACTIONS, type AgentAction, agentHealth, askAgentTo } from "../fleet/agent-actions.ts";
import { installScript } from "../fleet/install-script.ts";
import type { AgentCalls } from "../fleet/node-agent.ts";
import type { DbFor } from "./callers.ts";
import { originOf } from "./https.ts";
import { queryOf } from "./input.ts";
import { requireStorableName } from "./workers.ts";

const NO_PROJECTS =
  "This service keeps no projects: it returns the results of tasks, and nothing writes to a repository or a memory through it. Create the project in Membridge.";

/** `/api/runtime/…`: the agents of workers, how a worker is installed, and the projects that there are none of here. */
export function agentRoutes(dbFor: DbFor, agents: AgentCalls, publicUrl: string | undefined): Router {
  const router = Router();

  router.param("id", requireStorableName);

  router.get("/workers/:id/agent-health", async (request, response) => {
    response.json(await agentHealth(dbFor(response), agents, request.params.id));
  });

  for (const action of Object.keys(AGENT_ACTIONS) as AgentAction[])
    router.post(`/workers/:id/agent-${action}`, async ({ params }, response) => {
      response.json(await askAgentTo(dbFor(response), agents, String(params.id), action));
    });

  router.get("/agent-install-script", (request, response) => {
    const { node_id, server_url } = queryOf(queries.installScript, request);
    const server = server_url ?? publicUrl ?? originOf(request);
    response.type("text/x-shellscript").send(installScript(server, node_id));
  });

  // Answered for pages of the earlier service (lifecycle.md, invariant 13).
  router.get("/projects", (_request, response) => void response.json([]));
  router.post("/projects", (_request, response) => void response.status(501).json({ error: NO_PROJECTS }));

  return router;
}
