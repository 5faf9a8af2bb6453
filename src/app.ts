import cors from "cors";
import express, { type Express } from "express";
import type { Logger } from "pino";
import { type Config, loadConfig } from "./config.ts";
import type { Db } from "./db/client.ts";
import type { Disk } from "./disk-space.ts";
import type { EventHub } from "./events/event-hub.ts";
import type { AgentCalls } from "./fleet/agent-http.ts";
import type { Membridge } from "./fleet/membridge.ts";
import { accessLog } from "./http/access-log.ts";
import { accountRoutes } from "./http/account-routes.ts";
import { agentRoutes } from "./http/agent-routes.ts";
import { withDocuments } from "./http/api-document-routes.ts";
import { artifactRoutes } from "./http/artifact-routes.ts";
import { createKeyGuard } from "./http/auth.ts";
import { answersFrom } from "./http/await-result.ts";
import { beginRequest } from "./http/begin-request.ts";
import { leaveConnections } from "./http/bind-and-drain.ts";
import { createBodyBudget } from "./http/body-budget.ts";
import { bulkRoutes } from "./http/bulk-routes.ts";
import { consoleRoutes } from "./http/console-routes.ts";
import { errorHandler, notFound } from "./http/error-answers.ts";
import { eventRoutes } from "./http/event-routes.ts";
import { createFormOrTextBody } from "./http/form-or-text-body.ts";
import { healthRoutes } from "./http/health-routes.ts";
import { jsonBody } from "./http/json-body.ts";
import { keyRoutes } from "./http/key-routes.ts";
import { createKeyWatch } from "./http/key-watch.ts";
import { liveOutputRoutes } from "./http/live-output-routes.ts";
import { withMcp } from "./http/mcp-routes.ts";
import { membridgeConfigRoutes } from "./http/membridge-config-routes.ts";
import { membridgeRoutes } from "./http/membridge-routes.ts";
import { metricsRoutes } from "./http/metrics-routes.ts";
import { mountRoutes } from "./http/mount-routes.ts";
import { createStreams } from "./http/open-streams.ts";
import { ANSWER_HEADERS } from "./http/openapi/headers.ts";
import { inDatabase, inMemory } from "./http/rate-limit-store.ts";
import { createRateLimits } from "./http/rate-limits.ts";
import { redirectToHttps } from "./http/redirect-to-https.ts";
import { refusingWhenFull } from "./http/refuse-when-disk-full.ts";
import { reportingRoutes } from "./http/reporting-routes.ts";
import { traceRequests } from "./http/request-trace.ts";
import type { Route, RouteFacts } from "./http/route.ts";
import { securityHeaders } from "./http/security-headers.ts";
import { taskReadingRoutes } from "./http/task-reading-routes.ts";
import { taskRoutes } from "./http/task-routes.ts";
import type { UnkeyedConnections } from "./http/unkeyed-connections.ts";
import { unsupportedProjectRoutes } from "./http/unsupported-project-routes.ts";
import { webhookRoutes } from "./http/webhook-routes.ts";
import { workRoutes } from "./http/work-routes.ts";
import { workerRoutes } from "./http/worker-routes.ts";
import { workerScriptRoutes } from "./http/worker-script-routes.ts";
import { createWrongKeys } from "./http/wrong-keys.ts";
import type { Family } from "./metrics/prometheus-text.ts";
import { createMeters } from "./metrics/service-meters.ts";
import { openAttention } from "./queue/attention.ts";
import type { ClaimWaiters } from "./queue/claim-waiters.ts";
import type { Dispatcher } from "./queue/dispatch.ts";
import { openLiveFollowers } from "./queue/live-followers.ts";
import { openOverview } from "./queue/overview.ts";
import type { ResultWaiters } from "./queue/result-waiters.ts";
import { openStats } from "./queue/stats.ts";
import type { MembridgeConfig } from "./saved-config/membridge-config.ts";
import type { SecretBox } from "./saved-config/secret-box.ts";
import type { OutputStorage } from "./storage/output-storage.ts";

export interface AppDeps {
  config: Config;
  log: Logger;
  db: Db;
  box: SecretBox;
  disk: Disk;
  membridgeConfig: MembridgeConfig;
  membridge: Membridge;
  store: OutputStorage;
  claimWaiters: ClaimWaiters;
  resultWaiters: ResultWaiters;
  eventHub: EventHub;
  dispatcher: Dispatcher;
  agents: AgentCalls;
  connections: UnkeyedConnections;
  /** What all processes of the service tell of themselves, where there are several. */
  metricsOfAll?: (() => Promise<Family[]>) | undefined;
  /** Aborted when the service begins to stop. */
  stopping: AbortSignal;
}

/** The headers that pages in browsers may read. */
const EXPOSED_HEADERS = [
  "RateLimit-Limit",
  "RateLimit-Remaining",
  "RateLimit-Reset",
  "X-Request-Id",
  ...Object.keys(ANSWER_HEADERS),
];

/** An app without routes. To hash every answer for an ETag costs more than to send it again; the contents of artifacts have an ETag of their own. */
export const createBareApp = (): Express => express().disable("x-powered-by").disable("etag");

/** The HTTP side of the service: middleware and routes in their order, nothing else. They are added to `app`. */
export function createApp(deps: AppDeps, app = createBareApp()): Express {
  const { config, log, db, connections } = deps;
  app.set("trust proxy", config.trustProxyHops);

  app.use(securityHeaders());
  app.use(leaveConnections(deps.stopping));
  app.use(beginRequest, traceRequests(db.tracer), accessLog(log, db.meters));
  if (config.production) app.use(redirectToHttps(config.publicUrl));
  if (config.corsOrigins.length > 0) app.use(cors({ origin: config.corsOrigins, exposedHeaders: EXPOSED_HEADERS }));
  const makeStore = config.limits.areShared ? inDatabase(db) : inMemory;
  const wrongKeys = createWrongKeys(config.limits.wrongKeysPerMinute, makeStore("WRONG_KEY_LIMIT_PER_MINUTE"));
  const { bodyBytes } = config.limits;
  const body = { maxBytes: bodyBytes, budget: createBodyBudget(bodyBytes) };
  const guards = {
    limits: createRateLimits(config.limits, makeStore),
    requireKey: createKeyGuard(db, config, wrongKeys, connections),
    longBody: jsonBody(body),
    formOrTextBody: createFormOrTextBody(body),
  };
  mountRoutes(app, routesOf(deps), db, ["/api/runtime", "/api/membridge"], guards);

  app.use(notFound);
  app.use(errorHandler(log));
  return app;
}

/** Every call of the service, the busiest first: Express tries one after the other. */
function routesOf(deps: Omit<AppDeps, "connections">): Route[] {
  const { config, log, db, membridgeConfig, membridge, store, claimWaiters, resultWaiters, dispatcher, agents } = deps;
  const { publicUrl, accountPaceAt: paceAt } = config;
  const { outputBytes } = config.limits;
  const callbacks = { allowed: config.outboundAllow, areSigned: config.callbackSecrets.length > 0 };
  const keyWatch = createKeyWatch(db);
  const results = answersFrom(resultWaiters, keyWatch);
  const streams = createStreams(keyWatch);
  const stats = openStats(db);
  const declared = [
    ...workRoutes({ store, claimWaiters, keyWatch, outputBytes, paceAt }),
    ...taskRoutes(dispatcher, results, publicUrl, callbacks),
    ...taskReadingRoutes(results),
    ...liveOutputRoutes(openLiveFollowers(db), streams, config.liveOutput),
    ...eventRoutes(deps.eventHub, streams),
    ...membridgeConfigRoutes(membridgeConfig, membridge),
    ...bulkRoutes(callbacks),
    ...reportingRoutes(stats, openOverview(db, stats), openAttention(db)),
    ...artifactRoutes(store, log),
    ...workerRoutes(config.outboundAllow),
    ...accountRoutes,
    ...agentRoutes(agents),
    ...workerScriptRoutes(publicUrl),
    ...keyRoutes,
    ...webhookRoutes(deps.box, config.outboundAllow),
    ...unsupportedProjectRoutes,
    ...consoleRoutes,
    ...membridgeRoutes(membridge),
    ...metricsRoutes(stats, deps.metricsOfAll),
    ...healthRoutes(membridge, deps.disk, deps.stopping),
  ];
  const calls = refusingWhenFull(declared, deps.disk);
  return withDocuments(withMcp(calls, { allowedOrigins: config.corsOrigins, stopping: deps.stopping }));
}

/** What is declared of every call, without what serves them. */
export function declaredCalls(): readonly RouteFacts[] {
  // A declaration uses what it is made with only when it is called, apart from the configuration and the meters.
  return routesOf({ config: loadConfig({}), db: { meters: createMeters() } } as AppDeps);
}
