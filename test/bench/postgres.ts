import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";

/** The PostgreSQL of a benchmark, and a folder for its service. */
export interface BenchPostgres {
  url: string;
  /** A connection that makes and drops databases. */
  admin: pg.Client;
  folder: string;
  /** Ends the connection and an embedded server, and removes the folder. */
  close(): Promise<void>;
}

/** Opens the PostgreSQL at TEST_DATABASE_URL, else an embedded one. */
export async function openPostgres(): Promise<BenchPostgres> {
  const folder = await mkdtemp(join(tmpdir(), "bloom-bench-"));
  const given = process.env.TEST_DATABASE_URL;
  const postgres = given
    ? { url: given, stop: async () => {} }
    : await startEmbedded({ dataDir: folder, log: pino({ level: "silent" }) });
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  return {
    url: postgres.url,
    admin,
    folder,
    async close() {
      await admin.end();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
