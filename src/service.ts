import { setTimeout as delay } from "node:timers/promises";
import express from "express";
import type { Logger } from "pino";
import { createApp } from "./app.ts";
import type { Config } from "./config.ts";
import { openDatabase } from "./db/client.ts";
import { connectServer, migrateServer } from "./db/given-or-embedded-server.ts";
import { listen } from "./db/listen.ts";
import { forgetPastHits } from "./db/rate-counts.ts";
import { countGrownTables } from "./db/table-statistics.ts";
import { folderOfDatabase, watchDisk } from "./disk-space.ts";
import { openEventHub } from "./events/event-hub.ts";
import { createMembridge } from "./fleet/membridge.ts";
import { syncOnce } from "./fleet/membridge-sync.ts";
import { createOutbound } from "./fleet/outbound.ts";
import { probeOnce } from "./fleet/probe-agents.ts";
import { bind, drain } from "./http/listening.ts";
import { createHttpServer } from "./http/server.ts";
import { createUnkeyedConnections } from "./http/unkeyed-connections.ts";
import { createStartup } from "./http/while-starting.ts";
import { every } from "./loop.ts";
import { autoDispatchOnce } from "./queue/auto-dispatch.ts";
import { forgetSessions } from "./queue/cli-sessions.ts";
import { createDispatcher } from "./queue/dispatch.ts";
import { cleanLiveOutput } from "./queue/live-output.ts";
import { QUEUE_NEWS } from "./queue/queue-news.ts";
import { openResultWaiters } from "./queue/result-waiters.ts";
import { sweepOnce } from "./queue/sweep.ts";
import { tellStall } from "./queue/tell-stall.ts";
import { sumUpUsage } from "./queue/usage-sums.ts";
import { openWaitingRoom } from "./queue/waiting-room.ts";
import { archiveFolder } from "./retention/archive-file.ts";
import { passesEveryMs, retainOnce } from "./retention/retain-once.ts";
import { createSecretBox } from "./settings/secret-box.ts";
import { createSettings } from "./settings/settings.ts";
import { checkSettingsKey } from "./settings/settings-key-check.ts";
import { readOrMakeSettingsKey } from "./settings/settings-key-file.ts";
import { cleanOnce } from "./storage/clean-staged.ts";
import { checkBucket, connectBucket } from "./storage/connect-bucket.ts";
import { moveOnce } from "./storage/move-to-bucket.ts";
import { cleanDeliveries } from "./webhooks/clean-deliveries.ts";
import { preparePosition } from "./webhooks/queue-deliveries.ts";
import { sealSecretsAnew } from "./webhooks/seal-anew.ts";
import { openWebhookSender } from "./webhooks/sender.ts";

const AUTO_DISPATCH_INTERVAL_MS = 1_000;
const DISK_INTERVAL_MS = 10_000;
const STORAGE_INTERVAL_MS = 10_000;
const STATISTICS_INTERVAL_MS = 2_000;
const USAGE_INTERVAL_MS = 10_000;
const RATE_COUNTS_INTERVAL_MS = 60_000;
const TRACE_INTERVAL_MS = 5_000;
const WEBHOOK_INTERVAL_MS = 1_000;

/** The running service. */
export interface Service {
  port: number;
  /** Stops in order: after DRAIN_SECONDS no new requests, the ones in flight end, loops, pool, embedded database. A second call changes nothing. */
  stop(): Promise<void>;
}

/** Starts all parts. If a part fails, those started before are stopped again. Throws a StartError for a fault that the operator can mend. */
export async function startService(config: Config, log: Logger): Promise<Service> {
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
    const app = express().disable("x-powered-by").disable("etag");
    const startup = createStartup();
    app.use(startup.handler);
    const http = createHttpServer(app, { log, connections });
    const port = await bind(http, config.port, config.bindAddress);
    // This is for a start that fails. A service that has started ends its requests before its other parts.
    started.push(() => {
      startup.fail();
      return drain(http);
    });
    const server = await connectServer(config.databaseUrl, config.dataDir, log);
    started.push(() => server.stop());
    await migrateServer(server, log);
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
    const settings = createSettings(db, box, config.membridge, log);
    await settings.sealAnew();
    await sealSecretsAnew(db, box);
    await checkSettingsKey(db, box, log);
    await preparePosition(db);
    const outbound = createOutbound(config.outboundAllow, { meters: db.meters });
    started.push(() => outbound.destroy());
    const membridge = createMembridge(settings, outbound, { log });
    const store = { bucket: config.minio && (await connectBucket(config.minio, db.meters)), log };
    await checkBucket(store);
    const agents = { outbound, agentKey: config.membridge.agentKey };
    const dispatcher = createDispatcher(db, store, agents, log);
    const sender = openWebhookSender(db, { outbound, box, callbackSecrets: config.callbackSecrets });
    const loops = [
      every(DISK_INTERVAL_MS, "disk", db, () => disk.look()),
      every(config.workerSyncIntervalMs, "worker sync", db, async () => {
        const { added, offline } = await syncOnce(db, membridge, log);
        return { added, offline };
      }),
      every(config.workerSyncIntervalMs, "health probes", db, () => probeOnce(db, outbound, log)),
      every(config.sweepIntervalMs, "lease sweep", db, async () => {
        const swept = await sweepOnce(db);
        return { ...swept, stalled: await tellStall(db, config.queueStalledAfterSeconds) };
      }),
      every(USAGE_INTERVAL_MS, "usage sums", db, () => sumUpUsage(db)),
      every(WEBHOOK_INTERVAL_MS, "webhooks", db, async () => void (await sender.passOnce())),
      every(STATISTICS_INTERVAL_MS, "table statistics", db, async () => ({ counted: await countGrownTables(db) })),
      every(STORAGE_INTERVAL_MS, "artifact storage", db, async () => {
        await moveOnce(db, store, stopping.signal);
        const removed = await cleanOnce(db, store, stopping.signal);
        const kept = { printed: await cleanLiveOutput(db), sessions: await forgetSessions(db) };
        return { removed, ...kept, deliveries: await cleanDeliveries(db) };
      }),
    ];
    if (config.limits.areShared)
      loops.push(
        every(RATE_COUNTS_INTERVAL_MS, "rate counts", db, async () => ({ forgotten: await forgetPastHits(db) })),
      );
    if (config.keptDays.tasks > 0 || config.keptDays.auditEntries > 0) {
      const retention = { store, folder: archiveFolder(config.dataDir), days: config.keptDays };
      const pass = () => retainOnce(db, retention, stopping.signal);
      loops.push(every(passesEveryMs(config.keptDays), "retention", db, pass));
    }
    if (config.autoDispatch) {
      const pass = async () => ({ dispatched: await autoDispatchOnce(db, dispatcher, config.publicUrl, log) });
      loops.push(every(AUTO_DISPATCH_INTERVAL_MS, "auto dispatch", db, pass));
    }
    started.push(() => dispatcher.stop());
    started.push(() => sender.stop());
    started.push(async () => void (await Promise.all(loops.map((loop) => loop.stop()))));

    const waitingRoom = openWaitingRoom(db);
    const resultWaiters = openResultWaiters(db);
    const eventHub = openEventHub(db);
    const listener = listen(servers, QUEUE_NEWS, log, () => {
      waitingRoom.notify();
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
      settings,
      membridge,
      store,
      waitingRoom,
      resultWaiters,
      eventHub,
      dispatcher,
      agents,
      connections,
      stopping: stopping.signal,
    };
    createApp(deps, app);
    startup.succeed();
    const waits = [eventHub, resultWaiters, waitingRoom];
    started.push(() => drain(http, waits));
    return { port, stop: () => stop(config.drainMs) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function stopAll(steps: (() => Promise<void>)[], log: Logger): Promise<void> {
  for (const step of steps) {
    // If a step fails, the next ones are still done.
    await step().catch((error) => log.error({ err: error }, "stopping failed"));
  }
}
