/** Two PostgreSQL servers with streaming replication, made of the embedded server's programs: a primary and its standby, which change their parts. */
import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { platformPackage } from "../../src/embedded/binaries.ts";
import { ensureCluster } from "../../src/embedded/cluster.ts";
import { readPidFile } from "../../src/embedded/pid-file.ts";
import { launchPostmaster, type Postmaster } from "../../src/embedded/postmaster.ts";
import { type Installation, prepareInstallation } from "../../src/embedded/prepare-installation.ts";
import { run } from "../../src/embedded/run-program.ts";
import { useFolder } from "./embedded-template.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

const DATABASE = "bloom";
const UP_WITHIN_MS = 60_000;
/** What the standby has not yet fetched stays on the primary: a copied standby begins at the start of the copy. */
const KEEP_WAL = "256MB";

export interface ReplicatedPair {
  /** The ports of both, which stay the same. */
  ports: [number, number];
  /** An address of libpq's form with both hosts, at which each may be reached at another port, through a proxy say. */
  url(ports?: [number, number]): string;
  /** Runs SQL on the server that is the primary now. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** 0 or 1: which of the ports is the primary's. */
  primary(): number;
  /** The address of the primary alone. */
  primaryUrl(): string;
  /** Ends the primary as a power cut does. */
  stopPrimary(): Promise<void>;
  /** Makes the standby the primary, and resolves when it takes changes. */
  promote(): Promise<void>;
  /** Starts a server that was stopped as it was, as an operator does who knows nothing of the promotion. */
  startAgain(which: number): Promise<void>;
  /**
   * Makes the other server a standby of the primary, from a fresh copy, and waits until it follows; by `synchronous`, commits wait for it
   * from then on.
   */
  makeStandby(synchronous: boolean): Promise<void>;
  /** Holds back what the standby gets, or lets it go on. */
  holdReplication(isHeld: boolean): Promise<void>;
  /** Resolves when the standby has all that the primary had when this was called. */
  caughtUp(): Promise<void>;
  close(): Promise<void>;
}

/** Starts both in `dataDir`, an empty folder that every user may enter, and makes the database `bloom`. */
export async function startReplicatedPair(
  dataDir: string,
  { synchronous }: { synchronous: boolean },
): Promise<ReplicatedPair> {
  const log = pino({ level: "silent" });
  await useFolder(dataDir);
  const installation = await prepareInstallation(platformPackage(), dataDir);
  const password = await ensureCluster(installation, log);
  const clusters: [Installation, Installation] = [
    installation,
    {
      ...installation,
      cluster: join(installation.dataDir, "postgres-2"),
      logFile: join(installation.dataDir, "postgres-2.log"),
    },
  ];
  const ports: [number, number] = [await freePort(), await freePort()];
  const running: (Postmaster | undefined)[] = [undefined, undefined];
  let primary = 0;

  const urlOf = (which: number) =>
    `postgresql://postgres:${password}@127.0.0.1:${ports[which]}/${DATABASE}?sslmode=disable`;
  const clusterOf = (which: number) => clusters[which] ?? installation;

  async function start(which: number): Promise<void> {
    const postmaster = launchPostmaster(clusterOf(which), ports[which] ?? 0);
    running[which] = postmaster;
    await until("the start of PostgreSQL", async () => {
      if (!postmaster.isRunning()) throw new Error(`PostgreSQL ended at its start:\n${postmaster.output()}`);
      return answers(urlOf(which));
    });
  }

  async function stopAtOnce(which: number): Promise<void> {
    const pid = readPidFile(clusterOf(which).cluster)?.pid;
    if (pid !== undefined) process.kill(pid, "SIGQUIT");
    await running[which]?.stop(UP_WITHIN_MS);
    running[which] = undefined;
  }

  async function onServer<T>(which: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: urlOf(which) });
    client.on("error", () => {});
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
    onServer(primary, async (client) => (await client.query<Row>(text, values)).rows);

  /** Copies the primary's files while it runs, as the low-level API of base backups has it. */
  async function copyPrimary(to: number): Promise<void> {
    const { cluster: source, runAs } = clusterOf(primary);
    const target = clusterOf(to).cluster;
    await rm(target, { recursive: true, force: true });
    await onServer(primary, async (client) => {
      await client.query("select pg_backup_start('standby', true)");
      // A file that PostgreSQL removes during the copy is no loss: the log of changes, from the start of the copy on, is what counts.
      const copied = await run({ ...runAs, user: undefined, wrapper: [] }, ["cp", "-a", source, target]);
      if (!copied.ok && !/No such file/.test(copied.output)) throw new Error(copied.output);
      const { rows } = await client.query<{ labelfile: string }>("select labelfile from pg_backup_stop(false)");
      await Promise.all(
        ["postmaster.pid", "postmaster.opts", "pg_wal"].map((name) =>
          rm(join(target, name), { recursive: true, force: true }),
        ),
      );
      await mkdir(join(target, "pg_wal"));
      await writeFile(join(target, "backup_label"), rows[0]?.labelfile ?? "");
      await writeFile(join(target, "standby.signal"), "");
      const source_ = `host=127.0.0.1 port=${ports[primary]} user=postgres password=${password}`;
      await writeFile(
        join(target, "postgresql.auto.conf"),
        `primary_conninfo = '${source_}'\nwal_keep_size = '${KEEP_WAL}'\n`,
      );
    });
    const { user } = runAs;
    if (user) await run({ user: undefined, wrapper: [] }, ["chown", "-R", `${user.uid}:${user.gid}`, target]);
  }

  async function makeStandby(synchronous: boolean): Promise<void> {
    const other = 1 - primary;
    await stopAtOnce(other);
    await copyPrimary(other);
    await start(other);
    if (synchronous) {
      await query("alter system set synchronous_standby_names = '*'");
      await query("select pg_reload_conf()");
    }
    await until("the start of the standby", async () => {
      const [standby] = await query<{ state: string; sync_state: string }>(
        "select state, sync_state from pg_stat_replication",
      );
      return standby?.state === "streaming" && (!synchronous || standby.sync_state === "sync");
    });
  }

  await appendFile(join(installation.cluster, "postgresql.auto.conf"), `wal_keep_size = '${KEEP_WAL}'\n`);
  await start(0);
  await makeStandby(synchronous);

  return {
    ports,
    url: (at = ports) =>
      `postgresql://postgres:${password}@127.0.0.1:${at[0]},127.0.0.1:${at[1]}/${DATABASE}?target_session_attrs=read-write&sslmode=disable`,
    query,
    primary: () => primary,
    primaryUrl: () => urlOf(primary),
    stopPrimary: () => stopAtOnce(primary),
    async promote() {
      await onServer(1 - primary, (client) => client.query("select pg_promote(true)"));
      primary = 1 - primary;
    },
    startAgain: start,
    makeStandby,
    async holdReplication(isHeld) {
      const [walsender] = await query<{ pid: number }>("select pid from pg_stat_replication");
      if (walsender) process.kill(walsender.pid, isHeld ? "SIGSTOP" : "SIGCONT");
    },
    async caughtUp() {
      const [now] = await query<{ lsn: string }>("select pg_current_wal_lsn() as lsn");
      await until("what the standby lacks", async () => {
        const [standby] = await query<{ is: boolean }>(
          "select flush_lsn >= $1::pg_lsn as is from pg_stat_replication",
          [now?.lsn],
        );
        return standby?.is === true;
      });
    },
    async close() {
      await Promise.all([0, 1].map(stopAtOnce));
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    // Starting, which is what is waited for.
    return false;
  }
}
