/** A service of several processes behind one port: for machines with more cores than one process can use. */
import cluster from "node:cluster";
import type { Logger } from "pino";
import { pause } from "../abort-signals.ts";
import type { Config } from "../config.ts";
import { openServer, type Server } from "../db/given-or-embedded-server.ts";
import { type ChildHandle, startChild } from "./child-handle.ts";
import { type GivenSettings, SERVING } from "./messages.ts";
import { openMetricsOfAll } from "./metrics-of-all.ts";

/** The pause before a child that ended is replaced. It doubles each time that a child runs for less than LASTED_MS. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
const LASTED_MS = 60_000;
/** A child that has not stopped this long after `DRAIN_SECONDS` hangs, and is killed: requests in flight have 10 s. */
const KILLED_AFTER_MS = 15_000;

/** The running service. */
export interface Processes {
  port: number;
  /** Has all children stop as a single process does, kills those that hang, and then stops the embedded database. A second call changes nothing. */
  stop(): Promise<void>;
}

/**
 * Has `config.processes` children serve with these settings. This process has the database, whose tables it brings up to date, and hands each new
 * connection to the next child in turn; it serves nothing itself. A child that ends is replaced, and when this process ends, so do all. Throws a
 * StartError.
 */
export async function startProcesses(config: Config, settings: GivenSettings, log: Logger): Promise<Processes> {
  cluster.setupPrimary({ args: [SERVING] });
  const children = new Set<ChildHandle>();
  const metrics = openMetricsOfAll(() => children);
  const stopping = new AbortController();
  let server: Server | undefined;

  function start(joins: boolean): ChildHandle {
    const child = startChild(settings, joins, metrics.now);
    children.add(child);
    return child;
  }
  const killAll = () => {
    for (const child of children) child.kill();
  };
  process.on("exit", killAll);

  /** Replaces a child whenever it ends, until the service stops. */
  async function keepServing(first: ChildHandle, url: string): Promise<void> {
    let current = first;
    let failures = 0;
    for (;;) {
      const startedAt = performance.now();
      const end = { endedPid: current.pid, ...(await current.ended) };
      children.delete(current);
      metrics.keep(current);
      if (stopping.signal.aborted) {
        if (end.code !== 0) log.warn(end, "a process ended before it had stopped");
        return;
      }
      if (performance.now() - startedAt > LASTED_MS) failures = 0;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
      failures++;
      log.warn({ ...end, pauseMs }, "a process of the service ended; another takes its place");
      await pause(pauseMs, stopping.signal);
      if (stopping.signal.aborted) return;
      current = start(true);
      current.send({ kind: "database", url });
    }
  }

  async function allEnded(kept: Promise<void>[]): Promise<void> {
    const late = setTimeout(killAll, config.drainMs + KILLED_AFTER_MS);
    await Promise.all(kept);
    clearTimeout(late);
  }

  try {
    const first = Array.from({ length: config.processes }, () => start(false));
    // The children listen before the database is there, as a single process does: they are alive, and not ready.
    const [port = 0] = await Promise.all(first.map(({ listening }) => listening));
    server = await openServer(config.databaseUrl, config.dataDir, log);
    const { url, wake, stop } = server;
    for (const child of first) child.send({ kind: "database", url });
    await Promise.all(first.map(({ started }) => started));
    const kept = first.map((child) => keepServing(child, url));
    let stopped: Promise<void> | undefined;
    return {
      port,
      stop() {
        if (!stopped) for (const child of children) child.send({ kind: "stop" });
        stopping.abort();
        stopped ??= Promise.all([wake(), allEnded(kept)]).then(stop);
        return stopped;
      },
    };
  } catch (error) {
    killAll();
    await server?.stop();
    throw error;
  }
}
