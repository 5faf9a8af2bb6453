/** Two instances of the service, between proxies to their callers and to the one PostgreSQL, that can be killed and started again. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { testProgram } from "../support/compiled-programs.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts";
import { type Launched, launch } from "../support/spawn-service.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { KEPT_DAYS } from "./old-tasks.ts";

const SKEWED_CLOCK = pathToFileURL(testProgram("skewed-clock")).href;
/** Little, as on a small machine: a body that takes all of it ends the process. */
const HEAP_MB = 512;

export interface Instance {
  name: string;
  /** Its address behind the proxy that its callers go through. */
  url: string;
  /** Its own address. */
  directUrl(): string;
  database: TcpProxy;
  /** The proxy before it answers every call by itself, for so long. */
  answerByProxy(fault: Fault, ms: number): Promise<void>;
  /** Its clock is wrong by so much from now on, over restarts too. */
  setClock(skewMs: number): void;
  /** Ends it by the signal, starts it again, and resolves when it listens. */
  restart(signal: NodeJS.Signals): Promise<void>;
  /** Gives what went wrong in its lives: deaths of its own, stack traces, an exit code that is not 0. */
  stop(): Promise<string[]>;
}

/** Starts one, on a port that stays the same over its restarts. */
export async function startInstance(name: string, databaseUrl: string, dataDir: string): Promise<Instance> {
  const address = new URL(databaseUrl);
  const database = await startProxy(address.host);
  address.host = `127.0.0.1:${database.port}`;
  const clock = join(dataDir, `clock-${name}`);
  const env = {
    DATABASE_URL: address.href,
    DATA_DIR: dataDir,
    MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
    RATE_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    SWEEP_INTERVAL_MS: "500",
    WORKER_SYNC_INTERVAL_MS: "1000",
    AUTO_DISPATCH: "true",
    RETENTION_DAYS: String(KEPT_DAYS),
    AUDIT_RETENTION_DAYS: String(KEPT_DAYS),
    CLOCK_SKEW_FILE: clock,
  };
  const wrong: string[] = [];
  let written = "";
  let port = "0";
  let running: Launched;
  let isEnding = false;
  /** Resolves when it runs again after a death of its own. */
  let recovered = Promise.resolve();

  const setClock = (skewMs: number) => writeFileSync(clock, String(skewMs));

  /** Its start needs the database, which may be away: then it is tried again, as a supervisor would. */
  async function start(): Promise<void> {
    for (;;) {
      const starting = launch({ ...env, BLOOM_RUNTIME_PORT: port }, [
        `--max-old-space-size=${HEAP_MB}`,
        "--import",
        SKEWED_CLOCK,
      ]);
      running = starting;
      const listening = await starting.listening.catch(() => undefined);
      if (listening === undefined) {
        written += starting.output();
        continue;
      }
      port = listening;
      isEnding = false;
      recovered = starting.exited.then(async (code) => {
        if (isEnding) return;
        wrong.push(`it died by itself with ${code}: ${starting.output().slice(-1_000)}`);
        written += starting.output();
        await start();
      });
      return;
    }
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    isEnding = true;
    running.kill(signal);
    const code = await running.exited;
    await recovered;
    written += running.output();
    return code;
  }

  setClock(0);
  await start();
  const directUrl = () => `http://127.0.0.1:${port}`;
  const callers: FaultyProxy = await startFaultyProxy(directUrl);
  return {
    name,
    url: callers.url,
    directUrl,
    database,
    answerByProxy: async (fault, ms) => {
      callers.on(/^/, fault, Number.POSITIVE_INFINITY);
      await delay(ms);
      callers.reset();
    },
    setClock: (skewMs) => {
      setClock(skewMs);
      running.kill("SIGUSR2");
    },
    restart: async (signal) => {
      await end(signal);
      await start();
    },
    stop: async () => {
      const code = await end("SIGTERM");
      await Promise.all([callers.close(), database.close()]);
      if (code !== 0) wrong.push(`it ended with ${code} at its stop`);
      const traces = written.match(/^\s+at .*|unhandled.*|uncaught.*/gim) ?? [];
      if (traces.length > 0) wrong.push(`it wrote a stack trace: ${traces[0]}`);
      wrong.push(...(written.match(/^.*"msg":"request failed".*$/gm) ?? []));
      return wrong.map((sentence) => `instance ${name}: ${sentence}`);
    },
  };
}
