import cors from "cors";
import express, { type Express, Router } from "express";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { Db } from "./db/client.ts";
import type { Membridge } from "./fleet/membridge.ts";
import type { AgentCalls } from "./fleet/node-agent.ts";
import { accessLog } from "./http/access-log.ts";
import { accountRoutes } from "./http/accounts.ts";
import { agentRoutes } from "./http/agents.ts";
import { artifactRoutes } from "./http/artifacts.ts";
import { requireKey } from "./http/auth.ts";
import { createBodyBudget } from "./http/body-budget.ts";
import { forCallers } from "./http/callers.ts";
import { errorHandler, notFound } from "./http/errors.ts";
import { redirectToHttps } from "./http/https.ts";
import { jsonBody, shortBody } from "./http/json-body.ts";
import { createKeyWatch } from "./http/key-watch.ts";
import { membridgeRoutes } from "./http/membridge.ts";
import { plainBody } from "./http/plain-body.ts";
import { rateLimits } from "./http/rate-limits.ts";
import { recordRoutes } from "./http/records.ts";
import { requestId } from "./http/request-id.ts";
import { runtimeRoutes } from "./http/runtime.ts";
import { securityHeaders } from "./http/security-headers.ts";
import { taskRoutes } from "./http/tasks.ts";
import type { UnkeyedConnections } from "./http/unkeyed-connections.ts";
import { uploadRoute } from "./http/upload.ts";
import { usageRoutes } from "./http/usage.ts";
import { workerRoutes } from "./http/workers.ts";
import { createWrongKeys } from "./http/wrong-keys.ts";
import type { Dispatcher } from "./queue/dispatch.ts";
import { openStats } from "./queue/stats.ts";
import type { WaitingRoom } from "./queue/waiting-room.ts";
import type { Settings } from "./settings/settings.ts";
import type { ArtifactStore } from "./storage/artifact-store.ts";

export interface AppDeps {
  config: Config;
  log: Logger;
  db: Db;
  settings: Settings;
  membridge: Membridge;
  store: ArtifactStore;
  waitingRoom: WaitingRoom;
  dispatcher: Dispatcher;
  agents: AgentCalls;
  connections: UnkeyedConnections;
}

const EXPOSED_HEADERS = [
  "RateLimit-Limit",
  "RateLimit-Remaining",
  "RateLimit-Reset",
  "Retry-After",
  "X-Request-Id",
  "X-Ignored-Fields",
  "Link",
  "ETag",
  "Content-Range",
  "Accept-Ranges",
  "Content-Disposition",
];

/** The HTTP side of the service: middleware and routers in their order, nothing else. */
export function createApp(deps: AppDeps): Express {
  const { config, log, db, settings, membridge, store, waitingRoom, dispatcher, agents, connections } = deps;
  const app = express();
  app.disable("x-powered-by");
  // To hash every answer costs more than to send it again. The contents of artifacts have an ETag of their own.
  app.disable("etag");
  app.set("trust proxy", config.trustProxyHops);

  app.use(securityHeaders());
  app.use(requestId, accessLog(log));
  if (config.production) app.use(redirectToHttps(config.publicUrl));
  if (config.corsOrigins.length > 0) app.use(cors({ origin: config.corsOrigins, exposedHeaders: EXPOSED_HEADERS }));
  const wrongKeys = createWrongKeys(config.limits.wrongKeysPerMinute);
  const guards = [...rateLimits(config.limits), requireKey(db, config, wrongKeys, connections)];
  const dbFor = forCallers(db);
  const { bodyBytes } = config.limits;

  // One router for each part, and the busiest first: each that has nothing for a call costs it some microseconds.
  const runtime = Router().use(...guards);
  runtime.put("/llm-tasks/:id/output", uploadRoute(dbFor, config.limits.outputBytes));
  const budget = createBodyBudget(bodyBytes);
  runtime.use(plainBody({ maxBytes: bodyBytes, budget }));
  const longBody = jsonBody({ maxBytes: bodyBytes, budget });
  const keyWatch = createKeyWatch(db);
  const tasks = {
    dbFor,
    longBody,
    store,
    waitingRoom,
    keyWatch,
    dispatcher,
    publicUrl: config.publicUrl,
    paceAt: config.accountPaceAt,
  };
  runtime.use("/llm-tasks", taskRoutes(tasks));
  // No other call carries a prompt or an output.
  runtime.use(shortBody);
  runtime.use(runtimeRoutes(dbFor, settings, membridge), recordRoutes(dbFor, openStats(db)));
  runtime.use("/artifacts", artifactRoutes(dbFor, store, log));
  runtime.use(usageRoutes(dbFor));
  runtime.use("/accounts", accountRoutes(dbFor));
  runtime.use("/workers", workerRoutes(dbFor, config.outboundAllow));
  runtime.use(agentRoutes(dbFor, agents, config.publicUrl));
  app.use("/api/runtime", runtime);
  app.use("/api/membridge", ...guards, shortBody, membridgeRoutes(dbFor, membridge));

  app.use(notFound);
  app.use(errorHandler(log));
  return app;
}
