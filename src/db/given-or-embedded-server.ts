import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { messageOf, StartError } from "../errors.ts";
import { CONNECT_WITHIN_MS, connectWritable } from "./connect-writable.ts";
import { migrate } from "./migrate.ts";

const OLDEST_VERSION = 140_000;

/**
 * A PostgreSQL server that accepts connections at `url`. `stop()` stops the embedded server and does nothing to any other. `wake()` has the embedded
 * server go on where somebody has stopped it with SIGSTOP: requests and loops that end with the service wait for its answers, which took 20 s.
 */
export interface Server {
  url: string;
  wake(): Promise<void>;
  stop(): Promise<void>;
}

/** Gives the server at `databaseUrl`. Without an address it starts the embedded server on the files in `dataDir`. Throws a StartError. */
export async function connectServer(databaseUrl: string | undefined, dataDir: string, log: Logger): Promise<Server> {
  if (databaseUrl === undefined) {
    const { startEmbedded } = await import("../embedded/start.ts");
    return startEmbedded({ dataDir, log });
  }
  await checkServer(databaseUrl, log);
  return { url: databaseUrl, wake: async () => {}, stop: async () => {} };
}

/** Gives the server as `connectServer` does, with its tables brought up to date. Throws a StartError; then no server is left behind. */
export async function openServer(databaseUrl: string | undefined, dataDir: string, log: Logger): Promise<Server> {
  const server = await connectServer(databaseUrl, dataDir, log);
  try {
    await migrateServer(server, log);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/**
 * Gives the server for a tool that may run beside the service: if the service runs the embedded server already, the tool uses that one.
 * Throws a StartError.
 */
export async function joinServer(databaseUrl: string | undefined, dataDir: string, log: Logger): Promise<Server> {
  if (databaseUrl === undefined) {
    const { findEmbedded } = await import("../embedded/start.ts");
    const url = await findEmbedded(dataDir);
    if (url !== undefined) return { url, wake: async () => {}, stop: async () => {} };
  }
  return connectServer(databaseUrl, dataDir, log);
}

/** Brings the tables up to date (migrations/). Throws a StartError that says why it could not. */
export async function migrateServer(server: Server, log: Logger): Promise<void> {
  try {
    // Adopting half a million tasks of the earlier service, with their leases and results, takes two minutes.
    const applied = await migrate(server.url, (pending) => log.info({ pending }, "migrating the database"));
    if (applied > 0) log.info({ applied }, "database migrated");
  } catch (error) {
    throw new StartError(`The database could not be migrated, and is as it was: ${messageOf(error)}`, { cause: error });
  }
}

/** How long a start waits for a server that is still starting, or for a standby that is being promoted. */
const STARTING_WITHIN_MS = 60_000;
const AGAIN_AFTER_MS = 500;

async function checkServer(url: string, log: Logger): Promise<void> {
  const giveUpAt = performance.now() + STARTING_WITHIN_MS;
  for (;;) {
    try {
      return await requireUsable(url);
    } catch (error) {
      if (error instanceof StartError) throw error;
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      const mayPass = /^57P0[123]$|^25006$|^53300$/.test(code) && performance.now() < giveUpAt;
      if (!mayPass) throw unreachable(error, code);
      log.info({ reason: messageOf(error) }, "waiting for the database");
    }
    await delay(AGAIN_AFTER_MS);
  }
}

async function requireUsable(url: string): Promise<void> {
  const client = await connectWritable(url, { query_timeout: CONNECT_WITHIN_MS });
  try {
    const { rows } = await client.query<{ version: number; encoding: string; name: string }>(
      "select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding, current_database() as name",
    );
    const { version = 0, encoding = "", name = "" } = rows[0] ?? {};
    if (version < OLDEST_VERSION)
      throw new StartError(`PostgreSQL 14 or newer is needed; the server at DATABASE_URL is ${version}.`);
    if (encoding !== "UTF8")
      throw new StartError(
        `The database ${name} at DATABASE_URL is encoded in ${encoding}, which has no place for every character. Make one with: create database ${name} encoding 'UTF8' template template0.`,
      );
  } finally {
    await client.end();
  }
}

/** Advice for the operator, by the error code; the first match counts. */
const ADVICE: [code: RegExp, advice: string][] = [
  [/^28/, "Check the user and the password, and in the server's pg_hba.conf whether they may come from here."],
  [/^3D000$/, "Make the database, or check its name at the end of the address."],
  [/^25006$/, "Point it to the server that takes changes."],
  [/^57P0[123]$|^53300$/, "The server is there; start again when it is ready."],
];

function unreachable(error: unknown, code: string): StartError {
  const advice = ADVICE.find(([pattern]) => pattern.test(code))?.[1];
  const next = advice ?? "Check the address, or unset it to use the embedded one.";
  const reason = messageOf(error).replace(/\.$/, "");
  return new StartError(`The database at DATABASE_URL cannot be reached: ${reason}. ${next}`, { cause: error });
}
