import type { RequestListener } from "node:http";
import { onTestFinished } from "vitest";
import type { TestApp } from "./app.ts";
import type { TestDatabase } from "./database.ts";
import { aWorker } from "./factories.ts";
import { type NodeAgentOptions, startNodeAgent } from "./node-agent.ts";
import { startScriptedAgent } from "./scripted-agent.ts";

/** Starts agents that are registered with the app. Each ends with its test, after which no worker is online. */
export function agentsOfApp({ url: runtime }: TestApp, { db, query }: TestDatabase, agentKey: string) {
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
  };
}
