import { agentHealthAnswer, passedOn } from "../contract/service-answers.ts";
import { AGENT_ACTIONS, type AgentAction, askAgentTo } from "../fleet/administer-agent.ts";
import { agentHealth } from "../fleet/agent-health.ts";
import type { AgentCalls } from "../fleet/agent-http.ts";
import { NO_WORKER } from "./answer-declarations.ts";
import { ADMINS, type Route, route } from "./route.ts";
import { storableName } from "./worker-routes.ts";

/** `/api/runtime/workers/:id/agent-…`: health, update, restart and removal of a worker's agent. Tasks are dispatched to agents in task-routes.ts. */
export function agentRoutes(agents: AgentCalls): Route[] {
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
  ];
}
