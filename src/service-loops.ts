/** The loops of the service: what it does again and again by itself. */
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { analyzeGrownTables } from "./db/analyze-grown-tables.ts";
import type { Db } from "./db/client.ts";
import { forgetPastHits } from "./db/rate-counts.ts";
import type { Disk } from "./disk-space.ts";
import { forgetAccounts } from "./fleet/forget-accounts.ts";
import type { Membridge } from "./fleet/membridge.ts";
import { syncOnce } from "./fleet/membridge-sync.ts";
import type { Outbound } from "./fleet/outbound.ts";
import { probeOnce } from "./fleet/probe-agents.ts";
import { every, type Loop } from "./loop.ts";
import { autoDispatchOnce } from "./queue/auto-dispatch.ts";
import { forgetSessions } from "./queue/cli-sessions.ts";
import type { Dispatcher } from "./queue/dispatch.ts";
import { cleanLiveOutput } from "./queue/live-output.ts";
import { sweepOnce } from "./queue/sweep.ts";
import { tellQueueStall } from "./queue/tell-queue-stall.ts";
import { sumUpUsage } from "./queue/usage-sums.ts";
import { archiveFolder } from "./retention/archive-file.ts";
import { passesEveryMs, retainOnce } from "./retention/retain-once.ts";
import { cleanOnce } from "./storage/clean-staged.ts";
import { moveOnce } from "./storage/move-to-bucket.ts";
import type { OutputStorage } from "./storage/output-storage.ts";
import { cleanDeliveries } from "./webhooks/clean-deliveries.ts";
import type { WebhookSender } from "./webhooks/sender.ts";

const AUTO_DISPATCH_INTERVAL_MS = 1_000;
const DISK_INTERVAL_MS = 10_000;
const STORAGE_INTERVAL_MS = 10_000;
const STATISTICS_INTERVAL_MS = 2_000;
const USAGE_INTERVAL_MS = 10_000;
const RATE_COUNTS_INTERVAL_MS = 60_000;
const WEBHOOK_INTERVAL_MS = 1_000;

export interface LoopParts {
  db: Db;
  log: Logger;
  disk: Disk;
  membridge: Membridge;
  outbound: Outbound;
  store: OutputStorage;
  dispatcher: Dispatcher;
  sender: WebhookSender;
}

/** Starts the loops that the configuration asks for. `stopping` ends a pass of those that may take hours. */
export function startLoops(config: Config, parts: LoopParts, stopping: AbortSignal): Loop[] {
  const { db, log, disk, membridge, outbound, store, dispatcher, sender } = parts;
  const loops = [
    every(DISK_INTERVAL_MS, "disk", db, () => disk.look()),
    every(config.workerSyncIntervalMs, "worker sync", db, async () => {
      const { added, offline } = await syncOnce(db, membridge, log);
      return { added, offline };
    }),
    every(config.workerSyncIntervalMs, "health probes", db, () => probeOnce(db, outbound, log)),
    every(config.sweepIntervalMs, "lease sweep", db, async () => {
      const swept = await sweepOnce(db);
      return { ...swept, stalled: await tellQueueStall(db, config.queueStalledAfterSeconds) };
    }),
    every(USAGE_INTERVAL_MS, "usage sums", db, () => sumUpUsage(db)),
    every(WEBHOOK_INTERVAL_MS, "webhooks", db, async () => void (await sender.passOnce())),
    every(STATISTICS_INTERVAL_MS, "table statistics", db, async () => ({ counted: await analyzeGrownTables(db) })),
    every(STORAGE_INTERVAL_MS, "artifact storage", db, async () => {
      await moveOnce(db, store, stopping);
      return {
        unusedOutputsRemoved: await cleanOnce(db, store, stopping),
        piecesOfLiveOutputRemoved: await cleanLiveOutput(db),
        sessionsForgotten: await forgetSessions(db),
        accountsForgotten: await forgetAccounts(db),
        messagesToWebhooksRemoved: await cleanDeliveries(db),
      };
    }),
  ];
  if (config.limits.areShared)
    loops.push(
      every(RATE_COUNTS_INTERVAL_MS, "rate counts", db, async () => ({ forgotten: await forgetPastHits(db) })),
    );
  if (config.keptDays.tasks > 0 || config.keptDays.auditEntries > 0) {
    const retention = { store, folder: archiveFolder(config.dataDir), days: config.keptDays };
    const pass = () => retainOnce(db, retention, stopping);
    loops.push(every(passesEveryMs(config.keptDays), "retention", db, pass));
  }
  if (config.autoDispatch) {
    const pass = async () => ({ dispatched: await autoDispatchOnce(db, dispatcher, config.publicUrl, log) });
    loops.push(every(AUTO_DISPATCH_INTERVAL_MS, "auto dispatch", db, pass));
  }
  return loops;
}
