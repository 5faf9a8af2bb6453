import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { createApp, createBareApp } from "./app.ts";
import type { Config } from "./config.ts";
import { openDatabase } from "./db/client.ts";
import { isDatabaseUnavailable } from "./db/faults.ts";
import { openServer } from "./db/given-or-embedded-server.ts";
import { listen } from "./db/listen.ts";
import { folderOfDatabase, watchDisk } from "./disk-space.ts";
import { messageOf, StartError } from "./errors.ts";
import { openEventHub } from "./events/event-hub.ts";
import { createMembridge } from "./fleet/membridge.ts";
import { createOutbound } from "./fleet/outbound.ts";
import { bind, drain } from "./http/bind-and-drain.ts";
import { createHttpServer } from "./http/http-server.ts";
import { ownMetrics } from "./http/metrics-routes.ts";
import { createUnkeyedConnections } from "./http/unkeyed-connections.ts";
import { createStartup } from "./http/while-starting.ts";
import { every } from "./loop.ts";
import type { FirstProcess } from "./processes/run-as-child.ts";
import { openClaimWaiters } from "./queue/claim-waiters.ts";
import { createDispatcher } from "./queue/dispatch.ts";
import { QUEUE_NEWS } from "./queue/queue-news.ts";
import { openResultWaiters } from "./queue/result-waiters.ts";
import { createMembridgeConfig } from "./saved-config/membridge-config.ts";
import { createSecretBox } from "./saved-config/secret-box.ts";
import { checkSettingsKey } from "./saved-config/settings-key-check.ts";
import { readOrMakeSettingsKey } from "./saved-config/settings-key-file.ts";
import { startLoops } from "./service-loops.ts";
import { checkBucket, connectBucket } from "./storage/connect-bucket.ts";
import { preparePosition } from "./webhooks/queue-deliveries.ts";
import { sealSecretsAnew } from "./webhooks/seal-secrets-anew.ts";
import { openWebhookSender } from "./webhooks/sender.ts";

const TRACE_INTERVAL_MS = 5_000;

/** The running service. */
export interface Service {
  port: number;
  /**
   * Waits DRAIN_SECONDS, takes no new requests, lets those in flight end, then stops the loops, the pool and the embedded database. A second call
   * changes nothing.
   */
  stop(): Promise<void>;
}

/**
 * Starts all parts. If a part fails, those started before are stopped again. `first` is there where this process is one of several of a service.
 * Throws a StartError for a fault that the operator can mend.
 */
export async function startService(config: Config, log: Logger, first?: FirstProcess): Promise<Service> {
  const started: (() => Promise<void>)[] = [];
  let stopped: Promise<void> | undefined;
  /** Aborted at a stop: the service is not ready any more, and a pass of the storage loop, which may take hours, ends. */
  const stopping = new AbortController();
  const stop = (drainMs = 0) => {
    stopping.abort();
    stopped ??= delay(drainMs).then(() => stopAll(started.reverse(), log));
    return stopped;
  };

  try {
    const connections = createUnkeyedConnections(config.limits.unkeyedConnectionsPerAddress);
    const app = createBareApp();
    const startup = createStartup();
    app.use(startup.handler);
    const http = createHttpServer(app, { log, connections, areHandedOver: first !== undefined });
    const takeConnections = async () => {
      const port = await bind(http, config.port, config.bindAddress);
      first?.tellPort(port);
      return port;
    };
    const early = first?.joins ? undefined : await takeConnections();
    // This is for a start that fails. A service that has started ends its requests before its other parts.
    started.push(() => {
      startup.fail();
      return drain(http);
    });
    const server = await (first ? first.database() : openServer(config.databaseUrl, config.dataDir, log));
    started.push(() => server.stop());
    // The exporter is loaded only where a collector is set.
    const exporter = config.collector && (await import("./tracing/exporter.ts")).openExporter(config.collector, log);
    const connected = { url: server.url, poolMax: config.databasePoolMax, tracer: exporter?.tracer };
    const { db, servers, close } = openDatabase(connected, log);
    started.push(close);
    if (exporter) {
      const sending = every(TRACE_INTERVAL_MS, "traces", db, () => exporter.sendOnce());
      started.push(() => Promise.all([exporter.stop(), sending.stop()]).then(() => {}));
    }

    const disk = watchDisk(folderOfDatabase(config), config.diskLimits, db);
    const box = createSecretBox(
      await readOrMakeSettingsKey(config.settingsKey, config.dataDir, log),
      ...config.settingsKeysPrevious,
    );
    const membridgeConfig = createMembridgeConfig(db, box, config.membridge, log);
    await membridgeConfig.sealAnew();
    await sealSecretsAnew(db, box);
    await checkSettingsKey(db, box, log);
    await preparePosition(db);
    const openOutbound = () => {
      const outbound = createOutbound(config.outboundAllow, { meters: db.meters });
      started.push(() => outbound.destroy());
      return outbound;
    };
    // Each looks up names by itself: those of callbacks, which no server may answer, do not hold up those of Membridge and the agents.
    const [outbound, toReceivers] = [openOutbound(), openOutbound()];
    const membridge = createMembridge(membridgeConfig, outbound, { log });
    const store = { bucket: config.minio && (await connectBucket(config.minio, db.meters)), log };
    await checkBucket(store);
    const agents = { outbound, agentKey: config.membridge.agentKey };
    const dispatcher = createDispatcher(db, store, agents, log);
    const sender = openWebhookSender(db, { outbound: toReceivers, box, callbackSecrets: config.callbackSecrets });
    const loops = startLoops(
      config,
      { db, log, disk, membridge, outbound, store, dispatcher, sender },
      stopping.signal,
    );
    started.push(() => dispatcher.stop());
    started.push(() => sender.stop());
    started.push(async () => void (await Promise.all(loops.map((loop) => loop.stop()))));

    const claimWaiters = openClaimWaiters(db);
    const resultWaiters = openResultWaiters(db);
    const eventHub = openEventHub(db);
    const listener = listen(servers, QUEUE_NEWS, log, () => {
      claimWaiters.notify();
      resultWaiters.notify();
      eventHub.notify();
    });
    started.push(() => listener.stop());

    const deps = {
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
      metricsOfAll: first?.shareMetrics(() => ownMetrics(db)),
      stopping: stopping.signal,
    };
    createApp(deps, app);
    startup.succeed();
    const port = early ?? (await takeConnections());
    const waits = [eventHub, resultWaiters, claimWaiters];
    started.push(() => drain(http, waits));
    return { port, stop: () => stop(config.drainMs) };
  } catch (error) {
    await stop();
    throw asStartError(error);
  }
}

/** A database that fails in the middle of a start is the operator's matter too. */
function asStartError(error: unknown): unknown {
  if (error instanceof StartError || !isDatabaseUnavailable(error)) return error;
  const reason = messageOf(error).replace(/\.$/, "");
  return new StartError(`The database failed during the start: ${reason}. Start again when it is well.`, {
    cause: error,
  });
}

async function stopAll(steps: (() => Promise<void>)[], log: Logger): Promise<void> {
  for (const step of steps) {
    // If a step fails, the next ones are still done.
    await step().catch((error) => log.error({ err: error }, "stopping failed"));
  }
}
