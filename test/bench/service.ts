import { launch } from "../support/spawn-service.ts";
import { API_KEY } from "./load.ts";
import type { BenchDatabase, BenchPostgres } from "./postgres.ts";

/** A service that is measured. */
export interface BenchService {
  base: string;
  /** The process id of the service's first process. */
  pid: number;
  /** Ends it before the benchmark ends. */
  stop(): Promise<void>;
}

/** Starts the service over the database, compiled and as `npm start` runs it, without any limit of requests. It ends with the benchmark. */
export async function startService(
  { folder, atEnd }: BenchPostgres,
  { url }: BenchDatabase,
  settings: Record<string, string> = {},
): Promise<BenchService> {
  const { pid, kill, exited, listening } = launch({
    DATABASE_URL: url,
    DATA_DIR: folder,
    RUNTIME_API_KEY: API_KEY,
    RATE_LIMIT_PER_MINUTE: "0",
    TEST_CONNECTION_LIMIT_PER_MINUTE: "0",
    WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
    ...settings,
  });
  const stop = async () => {
    kill("SIGTERM");
    await exited;
  };
  atEnd(stop);
  return { base: `http://127.0.0.1:${await listening}`, pid, stop };
}
