import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import pg from "pg";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { connectServer } from "../src/db/given-or-embedded-server.ts";
import { createTestDatabase } from "./support/database.ts";
import { eventually } from "./support/eventually.ts";
import { aLeasedTask, aTask, aWorker } from "./support/factories.ts";
import { freePort } from "./support/free-port.ts";
import { holdTransaction } from "./support/held-transaction.ts";
import { runToExit, startProcess } from "./support/service-process.ts";
import { launch } from "./support/spawn-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const { db, url: DATABASE_URL, query, makeOverdue } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-service-");

const settings = { DATABASE_URL, DATA_DIR, MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9" };
const jsonOf = async (response: Response) => ({ status: response.status, body: await response.json() });

describe("the process", () => {
  it("listens on every address or on BIND_ADDRESS alone, answers healthy, and exits 0 on SIGTERM and SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      // An empty setting counts as none.
      const BIND_ADDRESS = signal === "SIGINT" ? "127.0.0.1" : "";
      const service = await startProcess({ ...settings, BIND_ADDRESS });
      if (BIND_ADDRESS) await expect(fetch(service.url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow();
      expect(service.output()).toContain(BIND_ADDRESS ? `${service.url}, on this address only` : "on every address");
      const { status, body } = await jsonOf(await fetch(`${service.url}/api/runtime/health`));
      expect(status).toBe(200);
      expect(body).toMatchObject({ status: "ok", service: "bloom-runtime", storage: "postgresql" });
      expect(await service.stop(signal)).toBe(0);
    }
  });

  it("goes on taking requests for DRAIN_SECONDS, says that it is not ready, and ends each connection; asked again, it ends at once", async () => {
    const { url, stop } = await startProcess({ ...settings, DRAIN_SECONDS: "300" });
    const ended = stop("SIGTERM");
    await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(503));
    const task = { context_id: "c", agent_slug: "a", prompt: "p" };
    const body = JSON.stringify(task);
    const headers = { "content-type": "application/json" };
    const created = await fetch(`${url}/api/runtime/llm-tasks`, { method: "POST", headers, body });
    expect([created.status, created.headers.get("connection")]).toEqual([201, "close"]);
    // A second SIGTERM within half a second counts as the first one.
    await stop("SIGINT");
    expect(await ended).toBe(1);
  });

  it("is alive and not ready while it waits for its database to be up to date; requests wait with it, and a signal ends it", async () => {
    const migrating = new pg.Client({ connectionString: DATABASE_URL });
    await migrating.connect();
    // As another instance that migrates holds it (src/db/migrate.ts).
    await migrating.query("select pg_advisory_lock(x'626c6f6f6d'::bigint)");
    const ended = launch(settings);
    await eventually(async () => expect(await waitingForLocks()).toBe(1), { timeout: 50_000 });
    ended.kill("SIGTERM");
    expect(await ended.exited).toBe(0);
    const port = await freePort();
    const { exited, kill, listening } = launch({ ...settings, BLOOM_RUNTIME_PORT: String(port) });
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      const { status } = (await response.json()) as { status?: string };
      return [response.status, response.headers.get("x-bloom-runtime"), status];
    };
    await eventually(async () => expect(await ask("/livez")).toEqual([200, "1", "alive"]));
    expect(await ask("/readyz")).toEqual([503, "1", "not ready"]);
    const asked = ask("/api/runtime/llm-tasks");
    await migrating.end();
    expect(await asked).toEqual([200, "1", undefined]);
    await listening;
    expect(await ask("/readyz")).toEqual([200, "1", "ready"]);
    kill("SIGTERM");
    expect(await exited).toBe(0);
  });

  it("sweeps overdue leases and marks silent workers offline by itself", async () => {
    const { task } = await aLeasedTask(db);
    const silent = await aWorker(db);
    await makeOverdue(task.id);
    await query("update workers set last_heartbeat = last_heartbeat - 61000 where id = $1", [silent.id]);
    const service = await startProcess({ ...settings, SWEEP_INTERVAL_MS: "100", WORKER_SYNC_INTERVAL_MS: "100" });
    await eventually(async () => {
      expect(await query("select status from llm_tasks where id = $1", [task.id])).toEqual([{ status: "queued" }]);
      expect(await query("select status from workers where id = $1", [silent.id])).toEqual([{ status: "offline" }]);
    });
    expect(await service.stop()).toBe(0);
  });

  it("lets a request in flight end before it stops", async () => {
    const task = await aTask(db);
    const worker = await aWorker(db);
    const service = await startProcess(settings);
    // The row's lock keeps the request in flight until the test lets it go.
    const unlock = await lockTask(task.id);
    const leasing = fetch(`${service.url}/api/runtime/llm-tasks/${task.id}/lease`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ worker_id: worker.id }),
    });
    await eventually(async () => expect(await waitingForLocks()).toBeGreaterThan(0));
    const stopped = service.stop();
    await eventually(() => expect(service.output()).toContain("stopping"));
    await unlock();
    expect((await leasing).status).toBe(201);
    expect(await stopped).toBe(0);
  });

  it("exits at once on a second signal, whatever is in flight", async () => {
    const task = await aTask(db);
    const service = await startProcess(settings);
    const unlock = await lockTask(task.id);
    const requeueing = fetch(`${service.url}/api/runtime/llm-tasks/${task.id}/requeue`, { method: "POST" });
    const cutOff = expect(requeueing).rejects.toThrow();
    await eventually(async () => expect(await waitingForLocks()).toBeGreaterThan(0));
    const stopped = service.stop();
    await eventually(() => expect(service.output()).toContain("stopping"));
    const askedAt = performance.now();
    await service.stop("SIGINT");
    expect([await stopped, performance.now() - askedAt < 2_000]).toEqual([1, true]);
    await cutOff;
    await unlock();
  });

  it("lists every wrong setting and exits 1, without the values", async () => {
    const { code, output } = await runToExit({
      BLOOM_RUNTIME_PORT: "many",
      DATABASE_URL: "mysql://user:secret@host/db",
    });
    expect(code).toBe(1);
    expect(output).toContain("BLOOM_RUNTIME_PORT");
    expect(output).toContain("DATABASE_URL");
    expect(output).not.toContain("secret");
    expect(output).not.toContain("    at ");
  });

  it("says in one sentence that its port is in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, resolve));
    const { port } = other.address() as AddressInfo;
    const { code, output } = await runToExit({ ...settings, BLOOM_RUNTIME_PORT: String(port), LOG_LEVEL: "error" });
    other.close();
    expect(code).toBe(1);
    expect(output).toBe(
      `Port ${port} is in use. Stop the program that uses it, or set BLOOM_RUNTIME_PORT to another.\n`,
    );
  });

  it("says in one sentence that the database cannot be reached", async () => {
    const { code, output } = await runToExit({ ...settings, DATABASE_URL: "postgresql://user:secret@127.0.0.1:9/db" });
    expect(code).toBe(1);
    expect(output).toMatch(/^The database at DATABASE_URL cannot be reached: .*\n$/);
    expect(output).not.toContain("secret");
  });

  it("says in one sentence that the database failed in the middle of its start", async () => {
    const unlock = await holdTransaction(db, "lock table runtime_webhook_position");
    const impatient = new URL(DATABASE_URL);
    impatient.searchParams.set("options", "-c lock_timeout=100");
    const { code, output } = await runToExit({ ...settings, DATABASE_URL: impatient.href, LOG_LEVEL: "error" });
    await unlock();
    expect(code).toBe(1);
    expect(output).toMatch(/^The database failed during the start: .*lock timeout\. Start again .*\n$/);
  });

  it("says in one sentence what is wrong with a database that is there", async () => {
    const log = pino({ level: "silent" });
    const startOn = (name: string) => {
      const elsewhere = new URL(DATABASE_URL);
      elsewhere.pathname = `/${name}`;
      return connectServer(elsewhere.href, DATA_DIR, log);
    };
    await expect(startOn("there_is_none")).rejects.toThrow(/does not exist\. Make the database, /);
    const name = `${new URL(DATABASE_URL).pathname.slice(1)}_latin1`;
    await query(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
    const starting = startOn(name).finally(() => query(`drop database ${name}`));
    await expect(starting).rejects.toThrow(/^The database .* is encoded in LATIN1, .*'UTF8'/);
  });
});

async function waitingForLocks(): Promise<number> {
  const rows = await query(
    "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
  );
  return rows.length;
}

/** Locks the task, as another instance's transaction would. */
const lockTask = (id: string) => holdTransaction(db, `select from llm_tasks where id = '${id}' for update`);
