/**
 * The owner of a running PostgreSQL is the service that holds an advisory lock in it, on a connection that the service keeps as long as it runs.
 * PostgreSQL releases the lock at once when that service dies, which a lock file could not do.
 */
import { randomBytes } from "node:crypto";
import pg from "pg";

/** An arbitrary number: the database `postgres`, in which the lock is taken, has no other advisory locks. */
const LOCK = 0x626c6f6f;
const CONNECT_WITHIN_MS = 2_000;
const NAME = "bloom-runtime owner";

/** How to connect to the cluster as its superuser. */
export interface Credentials {
  password: string;
  /** The application_name by which this start of this process is known to others. */
  owner: string;
}

/** A name for the service in this process that no other start of it has. */
export function newOwner(): string {
  return `${NAME} ${process.pid} ${randomBytes(4).toString("hex")}`;
}

/** The process number in an owner's name, if it is one. */
export function pidOfOwner(owner: string): string | undefined {
  return owner.startsWith(`${NAME} `) ? owner.slice(NAME.length + 1).split(" ", 1)[0] : undefined;
}

/** The address of a database in the cluster. PGSSLMODE in the environment is not about this server, hence sslmode. */
export function urlOf(port: number, password: string, database: string): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
}

/**
 * Connects to the database of `cluster` that holds the lock. Throws the driver's errors. Throws an error too when another server
 * answers there, even a server that runs on a copy of `cluster`. Waits 2 s at most.
 */
export async function connect(cluster: string, port: number, { password, owner }: Credentials): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: urlOf(port, password, "postgres"),
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    application_name: owner,
    keepAlive: true,
  });
  // The end of a connection is told by "end" and by the queries that fail; without a listener, "error" would end the process.
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ data_directory: string }>("show data_directory");
  if (rows[0]?.data_directory === cluster) return client;
  await client.end();
  throw new Error(`port ${port} is that of another PostgreSQL`);
}

/** Takes the lock for as long as `client` is connected. Resolves to whether it is ours now. */
export async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [LOCK]);
  return rows[0]?.taken === true;
}

/** The name of the owner, if there is one. */
export async function ownerOf(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client.query<{ owner: string }>(
    `select a.application_name as owner
     from pg_locks l join pg_stat_activity a using (pid) join pg_database d on d.oid = l.database
     where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = $1 and d.datname = current_database()`,
    [LOCK],
  );
  return rows[0]?.owner;
}
