import pg from "pg";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { migrate } from "./migrate.ts";

const OLDEST_VERSION = 140_000;

/** A PostgreSQL server that can be connected to. `stop()` ends it if it is our own. */
export interface Server {
  url: string;
  stop(): Promise<void>;
}

/** The server at `databaseUrl`, or without one our own embedded one with its files in `dataDir`. Throws a StartError. */
export async function connectServer(databaseUrl: string | undefined, dataDir: string, log: Logger): Promise<Server> {
  if (databaseUrl === undefined) {
    const { startEmbedded } = await import("./embedded/embedded.ts");
    return startEmbedded({ dataDir, log });
  }
  await checkServer(databaseUrl);
  return { url: databaseUrl, stop: async () => {} };
}

/** The same for a tool that may run beside the service: where that runs the embedded server, it is this one. Throws a StartError. */
export async function joinServer(databaseUrl: string | undefined, dataDir: string, log: Logger): Promise<Server> {
  if (databaseUrl === undefined) {
    const { findEmbedded } = await import("./embedded/embedded.ts");
    const url = await findEmbedded(dataDir);
    if (url !== undefined) return { url, stop: async () => {} };
  }
  return connectServer(databaseUrl, dataDir, log);
}

/** Brings the tables up to date (migrations/). Throws a StartError that says why it could not. */
export async function migrateServer(server: Server, log: Logger): Promise<void> {
  try {
    // Half a million tasks of the earlier service, with all that belongs to them, take two minutes.
    const applied = await migrate(server.url, (pending) => log.info({ pending }, "migrating the database"));
    if (applied > 0) log.info({ applied }, "database migrated");
  } catch (error) {
    throw new StartError(`The database could not be migrated, and is as it was: ${messageOf(error)}`, { cause: error });
  }
}

async function checkServer(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    const { rows } = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    );
    const version = rows[0]?.version ?? 0;
    if (version < OLDEST_VERSION)
      throw new StartError(`PostgreSQL 14 or newer is needed; the server at DATABASE_URL is ${version}.`);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `The database at DATABASE_URL cannot be reached: ${messageOf(error)}. Check the address, or unset it to use the embedded one.`,
      {
        cause: error,
      },
    );
  } finally {
    await client.end();
  }
}
