/**
 * Two PostgreSQL servers that Patroni keeps as a primary and its synchronous standby, with etcd: Debian's packages `patroni`, `etcd-server`
 * and `postgresql`.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import pg from "pg";
import { readPidFile } from "../../src/embedded/pid-file.ts";
import { freePort } from "../support/free-port.ts";
import { isAlive } from "../support/is-alive.ts";
import type { ReplicatedPair } from "../support/replicated-pair.ts";
import { until } from "../support/until.ts";

const VERSIONS = "/usr/lib/postgresql";
const WITHIN_MS = 180_000;
const PASSWORD = "for-this-run-alone";
/** The least that Patroni takes: a primary that is gone is replaced after up to 20 s. */
const TIMES = { ttl: 20, loop_wait: 1, retry_timeout: 3 };

/** What the failover run needs of a pair. */
export type FailoverPair = Pick<
  ReplicatedPair,
  "url" | "query" | "primaryUrl" | "stopPrimary" | "promote" | "makeStandby" | "holdReplication" | "caughtUp" | "close"
>;

/** Starts both, in an empty folder that every user may enter, and makes the database `bloom`. */
export async function startPatroniPair(dataDir: string): Promise<FailoverPair> {
  const account = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {};
  const folders = ["etcd", "node-0", "node-1"].map((name) => join(dataDir, name));
  for (const folder of folders) {
    mkdirSync(folder, { mode: 0o700 });
    if (account.uid !== undefined) chownSync(folder, account.uid, account.gid);
  }
  const [etcdFolder = "", ...nodeFolders] = folders;
  let said = "";
  const start = (program: string, args: string[]) => {
    const child = spawn(program, args, { ...account, cwd: dataDir, stdio: ["ignore", "ignore", "pipe"] });
    child.on("error", (error) => {
      said += `${error}\n`;
    });
    child.stderr.on("data", (chunk) => {
      said = `${said}${chunk}`.slice(-2_000);
    });
    return child;
  };

  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const etcd = start("etcd", [
    ...["--data-dir", etcdFolder, "--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
  ]);
  const ports = [await freePort(), await freePort()];
  const rests = [await freePort(), await freePort()];
  const clusterOf = (n: number) => join(nodeFolders[n] ?? "", "data");
  for (const n of [0, 1]) {
    const config = configOf(n, { etcd: new URL(client).host, rest: rests[n] ?? 0, port: ports[n] ?? 0 }, clusterOf(n));
    writeFileSync(join(dataDir, `patroni-${n}.yml`), JSON.stringify(config));
  }
  const running: ChildProcess[] = [];
  const startNode = (n: number) => {
    running[n] = start("patroni", [join(dataDir, `patroni-${n}.yml`)]);
  };
  const isPrimary = (n: number) =>
    fetch(`http://127.0.0.1:${rests[n]}/primary`).then(
      ({ ok }) => ok,
      () => false,
    );
  let primary = 0;
  const addressOf = (n: number, database = "bloom") =>
    `postgresql://postgres:${PASSWORD}@127.0.0.1:${ports[n]}/${database}?sslmode=disable`;

  async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = [], database = "bloom") {
    const connection = new pg.Client({ connectionString: addressOf(primary, database) });
    connection.on("error", () => {});
    await connection.connect();
    try {
      return (await connection.query<Row>(text, values)).rows;
    } finally {
      await connection.end();
    }
  }

  const follows = async () => {
    const [standby] = await query<{ sync_state: string }>(
      "select sync_state from pg_stat_replication where state = 'streaming'",
    );
    return standby?.sync_state === "sync";
  };

  startNode(0);
  await untilSo("the first server", () => isPrimary(0)).catch((error) => {
    throw new Error(`${error.message} Patroni says:\n${said}`);
  });
  await query("create database bloom", [], "postgres");
  startNode(1);
  await untilSo("the standby", follows);

  return {
    url: () =>
      `postgresql://postgres:${PASSWORD}@127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}/bloom?target_session_attrs=read-write&sslmode=disable`,
    query: (text, values) => query(text, values),
    primaryUrl: () => addressOf(primary),
    async stopPrimary() {
      // The whole machine is lost: Patroni first, or it would start its server again.
      await end(running[primary], "SIGKILL");
      const pid = readPidFile(clusterOf(primary))?.pid;
      if (pid === undefined) return;
      process.kill(pid, "SIGQUIT");
      await untilSo("the end of the primary", async () => !isAlive(pid));
    },
    async promote() {
      const other = 1 - primary;
      await untilSo("the promotion", () => isPrimary(other));
      primary = other;
    },
    async makeStandby() {
      // From a fresh copy, as after the loss of a machine.
      rmSync(clusterOf(1 - primary), { recursive: true, force: true });
      startNode(1 - primary);
      await untilSo("the standby", follows);
    },
    holdReplication: () => Promise.reject(new Error("With Patroni, the pair is synchronous.")),
    async caughtUp() {
      await untilSo("the standby", follows);
    },
    async close() {
      await Promise.all(running.map((node) => end(node, "SIGTERM")));
      await end(etcd, "SIGTERM");
    },
  };
}

function configOf(n: number, at: { etcd: string; rest: number; port: number }, cluster: string) {
  const rest = `127.0.0.1:${at.rest}`;
  const server = `127.0.0.1:${at.port}`;
  const superuser = { username: "postgres", password: PASSWORD };
  return {
    scope: "bloom",
    name: `node-${n}`,
    restapi: { listen: rest, connect_address: rest },
    etcd3: { hosts: at.etcd },
    bootstrap: {
      dcs: { ...TIMES, synchronous_mode: true, postgresql: { use_pg_rewind: true } },
      initdb: [{ encoding: "UTF8" }, "data-checksums"],
    },
    postgresql: {
      listen: server,
      connect_address: server,
      data_dir: cluster,
      pgpass: join(dirname(cluster), "pgpass"),
      // Else the copy for the standby waits minutes for the next checkpoint.
      basebackup: [{ checkpoint: "fast" }],
      bin_dir: join(VERSIONS, readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0] ?? "", "bin"),
      authentication: { superuser, replication: { username: "replicator", password: PASSWORD } },
      pg_hba: ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"],
      parameters: { unix_socket_directories: cluster, password_encryption: "scram-sha-256" },
    },
  };
}

/** The number of the account that Debian's packages make. PostgreSQL does not run as root. */
const idOf = (which: "-u" | "-g") => Number(execFileSync("id", [which, "postgres"], { encoding: "utf8" }));

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

/** A server that does not answer is not so yet. */
const untilSo = (what: string, isSo: () => Promise<boolean>) =>
  until(what, () => isSo().catch(() => false), { withinMs: WITHIN_MS, everyMs: 100 });
