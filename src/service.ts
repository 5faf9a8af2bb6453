import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { createApp, createBareApp } from "./app.ts";
import type { Config } from "./config.ts";
import { isDatabaseUnavailable } from "./db/faults.ts";
import { folderOfDatabase, watchDisk } from "./disk-space.ts";
import { messageOf, StartError } from "./errors.ts";
import { bind, drain } from "./http/bind-and-drain.ts";
import { createHttpServer } from "./http/http-server.ts";
import { ownMetrics } from "./http/metrics-routes.ts";
import { createUnkeyedConnections } from "./http/unkeyed-connections.ts";
import { createStartup } from "./http/while-starting.ts";
import type { FirstProcess } from "./processes/run-as-child.ts";
import { startLoops } from "./service-loops.ts";
import { openDatabaseParts, openNeighbours, openWaiters, prepareSecrets, type StopStep } from "./service-parts.ts";
import { preparePosition } from "./webhooks/queue-deliveries.ts";

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
  /**
   * What stops the parts that are started, in the order of their starts. A stop runs them from the last to the first: an embedded PostgreSQL that
   * somebody has stopped is woken, and requests end; then the listener and the loops end, then the callers of agents and webhooks and their
   * connections, then the pool, then the server that the pool uses. The last step ends the requests of a start that failed.
   */
  const steps: StopStep[] = [];
  const atStop = (step: StopStep) => void steps.push(step);
  let stopped: Promise<void> | undefined;
  /** Aborted at a stop: the service is not ready any more, and a pass of the storage loop, which may take hours, ends. */
  const stopping = new AbortController();
  const stop = (drainMs = 0) => {
    stopping.abort();
    stopped ??= delay(drainMs).then(() => stopAll(steps.reverse(), log));
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
    atStop(() => {
      startup.fail();
      return drain(http);
    });

    const { db, servers, wake } = await openDatabaseParts(config, log, first, atStop);
    const disk = watchDisk(folderOfDatabase(config), config.diskLimits, db);
    const { box, membridgeConfig } = await prepareSecrets(config, db, log);
    await preparePosition(db);
    const neighbours = await openNeighbours(config, db, box, membridgeConfig, atStop);
    const loops = startLoops(config, { ...neighbours, db, log, disk }, stopping.signal);
    atStop(async () => void (await Promise.all(loops.map((loop) => loop.stop()))));
    const waiters = openWaiters(db, servers, atStop);

    const deps = {
      ...neighbours,
      ...waiters,
      config,
      log,
      db,
      box,
      disk,
      membridgeConfig,
      connections,
      metricsOfAll: first?.shareMetrics(() => ownMetrics(db)),
      stopping: stopping.signal,
    };
    createApp(deps, app);
    startup.succeed();
    const port = early ?? (await takeConnections());
    const waits = [waiters.eventHub, waiters.resultWaiters, waiters.claimWaiters];
    atStop(() => drain(http, waits));
    atStop(wake);
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

async function stopAll(steps: StopStep[], log: Logger): Promise<void> {
  for (const step of steps) {
    // If a step fails, the next ones are still done.
    await step().catch((error) => log.error({ err: error }, "stopping failed"));
  }
}
