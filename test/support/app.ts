import type { AddressInfo } from "node:net";
import type { Express } from "express";
import request from "supertest";
import { afterAll } from "vitest";
import { createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import type { Db } from "../../src/db/client.ts";
import { folderOfDatabase, watchDisk } from "../../src/disk-space.ts";
import { type EventHub, openEventHub } from "../../src/events/event-hub.ts";
import { createMembridge, type Membridge } from "../../src/fleet/membridge.ts";
import { createOutbound } from "../../src/fleet/outbound.ts";
import { createHttpServer, type Patience } from "../../src/http/http-server.ts";
import { createUnkeyedConnections } from "../../src/http/unkeyed-connections.ts";
import { createLog } from "../../src/log.ts";
import { type ClaimWaiters, openClaimWaiters } from "../../src/queue/claim-waiters.ts";
import { createDispatcher, type Dispatcher } from "../../src/queue/dispatch.ts";
import { openResultWaiters, type ResultWaiters } from "../../src/queue/result-waiters.ts";
import { createMembridgeConfig, type MembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import type { OutputStorage } from "../../src/storage/output-storage.ts";
import { inDatabase } from "./output-storage.ts";
import { watchAnswers } from "./watch-answers.ts";

export const ADMIN_KEY = "test-admin-key-0123456789";

export interface TestApp {
  app: Express;
  /** A supertest client: `app.api.get("/api/runtime/health")`. */
  api: ReturnType<typeof request>;
  url: string;
  /** What the app has logged so far, one object a line. */
  logged: Record<string, unknown>[];
  membridgeConfig: MembridgeConfig;
  membridge: Membridge;
  claimWaiters: ClaimWaiters;
  resultWaiters: ResultWaiters;
  eventHub: EventHub;
  dispatcher: Dispatcher;
  /** Aborted by a test, the app behaves as while it stops. */
  stopping: AbortController;
}

/** The app on a free port over `db`, closed when the file is done. Limits are off unless `env` sets them. */
export async function startApp(
  db: Db,
  {
    env = {},
    store = inDatabase,
    patience,
    mostWaiters,
  }: { env?: Record<string, string>; store?: OutputStorage; patience?: Patience; mostWaiters?: number } = {},
): Promise<TestApp> {
  const config = loadConfig({
    RATE_LIMIT_PER_MINUTE: "0",
    TEST_CONNECTION_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    MEMBRIDGE_ADMIN_KEY: ADMIN_KEY,
    ...env,
  });
  const logged: Record<string, unknown>[] = [];
  const log = createLog("trace", { write: (line: string) => void logged.push(JSON.parse(line)) });
  const disk = watchDisk(folderOfDatabase(config), config.diskLimits, { log, meters: db.meters });
  const box = createSecretBox("a secret for tests");
  const membridgeConfig = createMembridgeConfig(db, box, config.membridge, log);
  const outbound = createOutbound(config.outboundAllow, { meters: db.meters });
  afterAll(() => outbound.destroy());
  const membridge = createMembridge(membridgeConfig, outbound, { log });
  const claimWaiters = openClaimWaiters(db, mostWaiters);
  const resultWaiters = openResultWaiters(db, mostWaiters);
  const eventHub = openEventHub(db);
  const agents = { outbound, agentKey: config.membridge.agentKey, ownCompletionMs: 300 };
  const dispatcher = createDispatcher(db, store, agents, log);
  afterAll(() => dispatcher.stop());
  const connections = createUnkeyedConnections(config.limits.unkeyedConnectionsPerAddress);
  const stopping = new AbortController();
  const app = createApp({
    config,
    log,
    db,
    box,
    disk,
    membridgeConfig,
    membridge,
    store,
    claimWaiters,
    resultWaiters,
    eventHub,
    dispatcher,
    agents,
    connections,
    stopping: stopping.signal,
  });
  const server = createHttpServer(app, { log, connections, patience });
  watchAnswers(server);
  afterAll(claimWaiters.close);
  afterAll(resultWaiters.close);
  afterAll(eventHub.close);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterAll(() => new Promise<unknown>((resolve) => server.close(resolve)));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const parts = { membridgeConfig, membridge, claimWaiters, resultWaiters, eventHub, dispatcher, stopping };
  return { app, api: request(url), url, logged, ...parts };
}
