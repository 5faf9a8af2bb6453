/** Two instances of the service, each behind a proxy to the one PostgreSQL, that can be killed and started again. */
import { pathToFileURL } from "node:url";
import { type Launched, launch } from "../support/launch.ts";
import { testProgram } from "../support/programs.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const SKEWS_MS = [0, 600_000, -600_000];
const SKEWED_CLOCK = pathToFileURL(testProgram("skewed-clock")).href;

export interface Instance {
  name: string;
  url: string;
  proxy: TcpProxy;
  /** Ends it by the signal, starts it again, and resolves when it listens. */
  restart(signal: NodeJS.Signals, clockSkewMs: number): Promise<void>;
  stop(): Promise<number | null>;
  output(): string;
}

export { SKEWS_MS };

/** Starts one, on a port that stays the same over its restarts. */
export async function startInstance(name: string, databaseUrl: string, dataDir: string): Promise<Instance> {
  const address = new URL(databaseUrl);
  const proxy = await startProxy(address.host);
  address.host = `127.0.0.1:${proxy.port}`;
  const env = {
    DATABASE_URL: address.href,
    DATA_DIR: dataDir,
    MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
    RATE_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    SWEEP_INTERVAL_MS: "500",
    WORKER_SYNC_INTERVAL_MS: "1000",
    AUTO_DISPATCH: "true",
    LOG_LEVEL: "warn",
  };
  let written = "";
  let port = "0";
  let running: Launched;

  /** Its start needs the database, which may be away: then it is tried again, as a supervisor would. */
  async function start(clockSkewMs: number): Promise<void> {
    for (;;) {
      running = launch({ ...env, BLOOM_RUNTIME_PORT: port, CLOCK_SKEW_MS: String(clockSkewMs), LOG_LEVEL: "info" }, [
        "--import",
        SKEWED_CLOCK,
      ]);
      const listening = await running.listening.catch(() => undefined);
      if (listening !== undefined) {
        port = listening;
        return;
      }
      written += running.output();
    }
  }

  await start(0);
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    proxy,
    restart: async (signal, clockSkewMs) => {
      running.kill(signal);
      await running.exited;
      written += running.output();
      await start(clockSkewMs);
    },
    stop: async () => {
      running.kill("SIGTERM");
      const code = await running.exited;
      await proxy.close();
      return code;
    },
    output: () => written + running.output(),
  };
}
