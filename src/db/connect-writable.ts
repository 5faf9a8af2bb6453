/** How connections to the database are made: those of the pool, the listener, the migrations and the check at the start. */
import pg from "pg";
import { NotWritable } from "./faults-found-here.ts";
import { openServers, type Servers } from "./servers.ts";

/** How long a caller waits for a new connection, or for a free one of the pool. */
export const CONNECT_WITHIN_MS = 5_000;

/**
 * Connects to the one server that takes changes among those that `servers` or a DATABASE_URL names. The caller ends the connection. Throws
 * NotWritable and the driver's errors.
 */
export async function connectWritable(servers: Servers | string, config: pg.ClientConfig = {}): Promise<pg.Client> {
  const { findPrimary } = typeof servers === "string" ? openServers(servers) : servers;
  const connectionString = await findPrimary();
  const client = new pg.Client({ connectionTimeoutMillis: CONNECT_WITHIN_MS, ...config, connectionString });
  // Without a listener, a connection that breaks while nothing is asked on it would end the process. The next query on it fails, which is
  // enough.
  client.on("error", () => {});
  await client.connect();
  try {
    await requireWritable(client);
    return client;
  } catch (error) {
    client.connection.stream.destroy();
    throw error;
  }
}

/** Throws NotWritable when the server takes no changes: after a switch-over, an address may lead to a standby. */
export async function requireWritable(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ reads_only: boolean }>(
    "select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as reads_only",
  );
  if (rows[0]?.reads_only) throw new NotWritable();
}
