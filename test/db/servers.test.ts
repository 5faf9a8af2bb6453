import { execFileSync } from "node:child_process";
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import type { Event } from "../../src/contract/event-record.ts";
import { audit } from "../../src/db/audit.ts";
import type { AuditAction } from "../../src/db/audit-actions.ts";
import { openDatabase } from "../../src/db/client.ts";
import { listen } from "../../src/db/listen.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openEventHub } from "../../src/events/event-hub.ts";
import type { Position } from "../../src/events/position.ts";
import { eventually } from "../support/eventually.ts";
import { startReplicatedPair } from "../support/replicated-pair.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const folder = await temporaryFolder("bloom-pair-");
await chmod(folder, 0o755);
const pair = await startReplicatedPair(folder, { synchronous: false });
afterAll(() => pair.close());
const log = pino({ level: "silent" });
const SOON = { timeout: 30_000, interval: 50 };

/** The pair as a service reaches it: each server behind a proxy. */
async function reach({ answerWithinMs = 10_000 } = {}) {
  const proxies = await Promise.all(pair.ports.map((port) => startProxy(`127.0.0.1:${port}`)));
  for (const proxy of proxies) onTestFinished(proxy.close);
  const [a, b] = proxies;
  const url = pair.url([a?.port ?? 0, b?.port ?? 0]);
  const { db, servers, close } = openDatabase({ url, poolMax: 3, answerWithinMs }, log);
  onTestFinished(close);
  const listener = listen(servers, "news", log, () => {});
  onTestFinished(listener.stop);
  const port = async () => (await db.execute<{ port: number }>(sql`select inet_server_port() as port`)).rows[0]?.port;
  return { proxies, db, port };
}

describe("a database on a primary and its standby", () => {
  it("is reached at the primary, whichever stands first in the address", async () => {
    for (const turn of [0, 1]) {
      const url = pair.url(turn === 0 ? pair.ports : [pair.ports[1], pair.ports[0]]);
      const { db, close } = openDatabase({ url, poolMax: 2 }, log);
      const { rows } = await db.execute<{ port: number }>(sql`select inet_server_port() as port`);
      expect(rows[0]?.port).toBe(pair.ports[pair.primary()]);
      await close();
    }
  });

  it("is followed to the standby that was promoted when the primary was lost", async () => {
    const { port } = await reach();
    const before = await port();
    await pair.stopPrimary();
    await expect(port()).rejects.toThrow();
    await pair.promote();
    const after = await eventually(port, SOON);
    expect([before, after].sort()).toEqual([...pair.ports].sort());
    expect(after).toBe(pair.ports[pair.primary()]);
  });

  it("is not looked for at an earlier primary that was started again by mistake", async () => {
    const { port } = await reach();
    await port();
    await pair.startAgain(1 - pair.primary());
    for (let n = 0; n < 3; n++) expect(await port()).toBe(pair.ports[pair.primary()]);
    // Without a look at the other one's timeline, whoever answers first would be taken.
    const { servers, close } = openDatabase({ url: pair.url(), poolMax: 1 }, log);
    onTestFinished(close);
    expect(new URL(await servers.findPrimary()).port).toBe(String(pair.ports[pair.primary()]));
    await pair.makeStandby(false);
  });

  it("is followed when the primary vanished without a word, and what waited for its answer fails then", async () => {
    const { proxies, db, port } = await reach({ answerWithinMs: 60_000 });
    await port();
    const held = db.execute(sql`select pg_sleep(600)`).catch((error) => error);
    await eventually(
      async () =>
        expect((await pair.query("select from pg_stat_activity where query like 'select pg_sleep%'")).length).toBe(1),
      SOON,
    );
    proxies[pair.primary()]?.freeze();
    await pair.stopPrimary();
    await pair.promote();
    expect(await held).toBeInstanceOf(Error);
    expect(await eventually(port, SOON)).toBe(pair.ports[pair.primary()]);
    await pair.makeStandby(true);
  });

  it("begins a new timeline when it is promoted, of which those who follow events are told", async () => {
    await migrate(pair.url());
    const { db, port } = await reach();
    const hub = openEventHub(db);
    onTestFinished(hub.close);
    const { after } = await hub.enter(undefined);
    const heard: string[] = [];
    const take = (events: Event[]) => void heard.push(...events.map(({ action }) => action));
    const reset = ({ timeline }: Position) => void heard.push(`reset ${timeline - after.timeline}`);
    void hub.follow({ after, wants: () => true, take, reset, isFull: () => false }, new AbortController().signal);
    const write = (action: AuditAction) =>
      audit(db, { action, entity_type: "worker", entity_id: "w", actor: "a", detail: "d" });
    await write("worker_drained");
    await eventually(() => expect(heard).toEqual(["worker_drained"]), SOON);
    await pair.stopPrimary();
    await pair.promote();
    await eventually(port, SOON);
    await eventually(() => expect(heard).toEqual(["worker_drained", "reset 1"]), SOON);
    await write("worker_resumed");
    await eventually(() => expect(heard).toEqual(["worker_drained", "reset 1", "worker_resumed"]), SOON);
    expect((await hub.enter(after)).isKnown).toBe(false);
    await pair.makeStandby(true);
  });

  it("never calls a commit done that its standby does not have", async () => {
    const { db, port } = await reach({ answerWithinMs: 1_000 });
    await port();
    await db.execute(sql`create table kept (n int)`);
    await pair.holdReplication(true);
    // PostgreSQL answers a commit that is cancelled while it waits for the standby with success and a warning.
    await expect(db.execute(sql`insert into kept values (1)`)).rejects.toThrow();
    await pair.holdReplication(false);
    await pair.caughtUp();
  });

  it("is reached over TLS only where sslrootcert has signed for it, and with verify-full for its host too", async () => {
    await encryptPrimary();
    const isEncrypted = async (host: string, mode: string, authority: string) => {
      const url = new URL(pair.primaryUrl());
      url.hostname = host;
      url.searchParams.set("sslmode", mode);
      url.searchParams.set("sslrootcert", join(folder, `${authority}.crt`));
      const { db, close } = openDatabase({ url: url.href, poolMax: 1 }, log);
      onTestFinished(close);
      const { rows } = await db.execute<{ ssl: boolean }>(
        sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`,
      );
      return rows[0]?.ssl;
    };
    await eventually(async () => expect(await isEncrypted("127.0.0.1", "verify-full", "ours")).toBe(true), SOON);
    await expect(isEncrypted("127.0.0.1", "verify-full", "another")).rejects.toThrow();
    await expect(isEncrypted("localhost", "verify-full", "ours")).rejects.toThrow();
    expect(await isEncrypted("localhost", "verify-ca", "ours")).toBe(true);
  });
});

/** Gives the primary a certificate for 127.0.0.1 from the authority "ours", and lets it use that. There is "another" authority too. */
async function encryptPrimary(): Promise<void> {
  const openssl = (args: string) => execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" });
  const key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
  for (const name of ["ours", "another"]) openssl(`${key} -subj /CN=${name} -keyout ${name}.key -out ${name}.crt`);
  openssl(
    `${key} -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -CA ours.crt -CAkey ours.key -keyout server.key -out server.crt`,
  );
  const [{ path } = { path: "" }] = await pair.query<{ path: string }>(
    "select current_setting('data_directory') as path",
  );
  for (const name of ["server.crt", "server.key"]) {
    const text = await readFile(join(folder, name), "utf8");
    // PostgreSQL writes it, since it takes a key only from a file that is its own and nobody else's to read.
    const lines = `select unnest(string_to_array('${text.trimEnd()}', E'\\n'))`;
    await pair.query(`copy (${lines}) to program 'umask 077; cat > "${join(path, name)}"'`);
  }
  await pair.query("alter system set ssl = on");
  await pair.query("select pg_reload_conf()");
}
