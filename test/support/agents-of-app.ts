import type { RequestListener } from "node:http";
import { expect, onTestFinished } from "vitest";
import type { Task } from "../../src/contract/record-types.ts";
import { getTask } from "../../src/queue/get-task.ts";
import type { TestApp } from "./app.ts";
import type { TestDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { aWorker } from "./factories.ts";
import { type NodeAgentOptions, startNodeAgent } from "./node-agent.ts";
import { startScriptedAgent } from "./scripted-agent.ts";

/** Agents that are registered with the app, and what they do there. Each ends with its test, after which no worker is online. */
export function agentsOfApp({ api, url: runtime }: TestApp, { db, query }: TestDatabase, agentKey: string) {
  let agents = 0;
  const allOffline = async () => void (await query("update workers set status = 'offline'"));
  return {
    anAgent: async (options: Partial<NodeAgentOptions> = {}) => {
      const agent = await startNodeAgent({ runtime, name: `agent-${++agents}`, agentKey, ...options });
      onTestFinished(agent.close);
      onTestFinished(allOffline);
      return agent;
    },
    /** Gives the worker whose agent answers so. */
    anAgentThat: async (answer: RequestListener, fields = {}, options = {}) => {
      const { url, close } = await startScriptedAgent(answer, options);
      onTestFinished(close);
      onTestFinished(allOffline);
      return aWorker(db, { url, ...fields });
    },
    dispatch: (task: Task, body = {}) => api.post(`/api/runtime/llm-tasks/${task.id}/dispatch`).send(body),
    /** Resolves when the task has this status. */
    endOf: (task: Task, status: string) =>
      eventually(async () => expect((await getTask(db, task.id)).status).toBe(status), { interval: 30 }),
    resultsOf: async (task: Task) => (await api.get(`/api/runtime/llm-tasks/${task.id}/results`)).body,
  };
}
