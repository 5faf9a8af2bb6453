/** The parts of the service below its HTTP side. Each function opens some of them, and says at once what will stop them. */
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { Db } from "./db/client.ts";
import { openDatabase } from "./db/client.ts";
import { openServer, type Server } from "./db/given-or-embedded-server.ts";
import { listen } from "./db/listen.ts";
import type { Servers } from "./db/servers.ts";
import { openEventHub } from "./events/event-hub.ts";
import { createMembridge } from "./fleet/membridge.ts";
import { createOutbound } from "./fleet/outbound.ts";
import { every } from "./loop.ts";
import type { FirstProcess } from "./processes/run-as-child.ts";
import { openClaimWaiters } from "./queue/claim-waiters.ts";
import { createDispatcher } from "./queue/dispatch.ts";
import { QUEUE_NEWS } from "./queue/queue-news.ts";
import { openResultWaiters } from "./queue/result-waiters.ts";
import { createMembridgeConfig, type MembridgeConfig } from "./saved-config/membridge-config.ts";
import { createSecretBox, type SecretBox } from "./saved-config/secret-box.ts";
import { checkSettingsKey } from "./saved-config/settings-key-check.ts";
import { readOrMakeSettingsKey } from "./saved-config/settings-key-file.ts";
import { checkBucket, connectBucket } from "./storage/connect-bucket.ts";
import { sealSecretsAnew } from "./webhooks/seal-secrets-anew.ts";
import { openWebhookSender } from "./webhooks/sender.ts";

const TRACE_INTERVAL_MS = 5_000;

/** Stops a part. */
export type StopStep = () => Promise<void>;
/** Takes the step that stops a part which was just started. A stop runs the steps from the last to the first. */
type AtStop = (step: StopStep) => void;

/** The server with its tables up to date, the pool, and the exporter of traces, where a collector is set. StartError. */
export async function openDatabaseParts(
  config: Config,
  log: Logger,
  first: FirstProcess | undefined,
  atStop: AtStop,
): Promise<{ db: Db; servers: Servers; wake: Server["wake"] }> {
  const server = await (first ? first.database() : openServer(config.databaseUrl, config.dataDir, log));
  atStop(() => server.stop());
  // The exporter is loaded only where a collector is set.
  const exporter = config.collector && (await import("./tracing/exporter.ts")).openExporter(config.collector, log);
  const connected = { url: server.url, poolMax: config.databasePoolMax, tracer: exporter?.tracer };
  const { db, servers, close } = openDatabase(connected, log);
  atStop(close);
  if (exporter) {
    const sending = every(TRACE_INTERVAL_MS, "traces", db, () => exporter.sendOnce());
    atStop(() => Promise.all([exporter.stop(), sending.stop()]).then(() => {}));
  }
  return { db, servers, wake: server.wake };
}

/** The box that encrypts saved secrets. What is saved is encrypted with the current settings key afterwards. */
export async function prepareSecrets(
  config: Config,
  db: Db,
  log: Logger,
): Promise<{ box: SecretBox; membridgeConfig: MembridgeConfig }> {
  const key = await readOrMakeSettingsKey(config.settingsKey, config.dataDir, log);
  const box = createSecretBox(key, ...config.settingsKeysPrevious);
  const membridgeConfig = createMembridgeConfig(db, box, config.membridge, log);
  await membridgeConfig.sealAnew();
  await sealSecretsAnew(db, box);
  await checkSettingsKey(db, box, log);
  return { box, membridgeConfig };
}

/** Those whom the service calls: Membridge, the bucket, the agents and the receivers of webhooks. StartError: the bucket cannot be used. */
export async function openNeighbours(
  config: Config,
  db: Db,
  box: SecretBox,
  membridgeConfig: MembridgeConfig,
  atStop: AtStop,
) {
  const { log } = db;
  const openOutbound = () => {
    const outbound = createOutbound(config.outboundAllow, { meters: db.meters });
    atStop(() => outbound.destroy());
    return outbound;
  };
  // Each looks up names by itself: those of callbacks, which no server may answer, do not hold up those of Membridge and the agents.
  const [outbound, toReceivers] = [openOutbound(), openOutbound()];
  const membridge = createMembridge(membridgeConfig, outbound, { log });
  const store = { bucket: config.minio && (await connectBucket(config.minio, db.meters)), log };
  await checkBucket(store);
  const agents = { outbound, agentKey: config.membridge.agentKey };
  const dispatcher = createDispatcher(db, store, agents, log);
  atStop(() => dispatcher.stop());
  const sender = openWebhookSender(db, { outbound: toReceivers, box, callbackSecrets: config.callbackSecrets });
  atStop(() => sender.stop());
  return { outbound, membridge, store, agents, dispatcher, sender };
}

/** Those who wait for tasks, results and events, and the listener that wakes them when any instance says that there is something new. */
export function openWaiters(db: Db, servers: Servers, atStop: AtStop) {
  const claimWaiters = openClaimWaiters(db);
  const resultWaiters = openResultWaiters(db);
  const eventHub = openEventHub(db);
  const listener = listen(servers, QUEUE_NEWS, db.log, () => {
    claimWaiters.notify();
    resultWaiters.notify();
    eventHub.notify();
  });
  atStop(() => listener.stop());
  return { claimWaiters, resultWaiters, eventHub };
}
