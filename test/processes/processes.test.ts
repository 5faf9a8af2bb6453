/** A service of several processes (INSTANCES), from outside: what must be as right as with one. */
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { call, create, KEY, linesOf, newTask, R, scrape, servedBy, times } from "./calls.ts";

const { url: DATABASE_URL } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-processes-");

const TESTS_PER_MINUTE = 4;
const settings = {
  INSTANCES: "2",
  DATA_DIR,
  RUNTIME_API_KEY: KEY,
  MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  RATE_LIMIT_PER_MINUTE: "0",
  WORKER_CALLBACK_LIMIT_PER_MINUTE: "0",
  TEST_CONNECTION_LIMIT_PER_MINUTE: String(TESTS_PER_MINUTE),
  STRANGER_CONNECTIONS_PER_ADDRESS: "0",
};
const completion = { status: "success", output: "x", metrics: { duration_ms: 1 } };

describe.each([
  ["the embedded database", {}],
  ["a database that it is given", { DATABASE_URL }],
])("two processes on %s", (_, database) => {
  let service: ServiceProcess;
  /** How many tasks have been created here. */
  let created = 0;
  beforeAll(async () => {
    service = await startService({ ...settings, ...database, DRAIN_SECONDS: "1" });
    for (const name of ["w0", "w1", "w2", "w3"])
      await call(service, `${R}/workers`, { name, capabilities: { max_concurrency: 32 } });
  });
  afterAll(() => service?.stop("SIGKILL"));

  it("share the work of one port, and say once that they listen", async () => {
    const made = await times(8, () => create(service));
    created += made.length;
    const claims = await times(8, () =>
      call<{ tasks: { task: { id: string }; lease: { id: string } }[] }>(service, `${R}/llm-tasks/claim`, {
        worker_id: "w0",
        // Of claims at the same moment, one may find nothing that another does not hold for that moment.
        wait_seconds: 20,
      }),
    );
    const held = claims.flatMap((claim) => claim.json().tasks);
    const done = await Promise.all(
      held.map(({ task, lease }) =>
        call(service, `${R}/llm-tasks/${task.id}/complete`, { ...completion, lease_id: lease.id }),
      ),
    );
    expect(new Set(held.map(({ task }) => task.id))).toEqual(new Set(made.map((each) => each.json().id)));
    expect(done.map(({ status }) => status)).toEqual(Array(8).fill(200));
    for (const calls of [made, claims, done])
      expect(
        (
          await servedBy(
            service,
            calls.map(({ requestId }) => requestId),
          )
        ).size,
      ).toBe(2);
    const listening = linesOf(service).filter(({ msg }) => msg?.startsWith("BLOOM Runtime listens on"));
    expect(listening).toEqual([expect.objectContaining({ processes: 2, msg: expect.stringContaining("2 processes") })]);
  });

  it("hold a limit together", async () => {
    const tests = await times(3 * TESTS_PER_MINUTE, () => call(service, `${R}/test-connection`, {}));
    expect(tests.filter(({ status }) => status !== 429)).toHaveLength(TESTS_PER_MINUTE);
    const admitted = tests.filter(({ status }) => status === 200).map(({ requestId }) => requestId);
    expect(admitted).toHaveLength(TESTS_PER_MINUTE);
  });

  it("wake each other's waiting claims and event streams", async () => {
    const stopped = new AbortController();
    const heard = await times(2, async (n) => {
      const { body } = await request(`${service.url}${R}/events`, {
        headers: { "x-runtime-api-key": KEY, "x-request-id": `stream-${created}-${n}`, accept: "text/event-stream" },
        signal: stopped.signal,
      });
      const texts: string[] = [];
      body.on("data", (chunk) => texts.push(String(chunk))).on("error", () => {});
      return texts;
    });
    const waiting = times(4, (n) =>
      call<{ tasks: unknown[] }>(service, `${R}/llm-tasks/claim`, {
        worker_id: `w${n}`,
        wait_seconds: 20,
        max_tasks: 1,
      }),
    );
    await eventually(async () => expect((await scrape(service)).get('bloom_waiters{for="claim"}')).toBe(4));
    const many = await call<{ tasks: { id: string }[] }>(service, `${R}/llm-tasks/bulk`, {
      tasks: Array(4).fill(newTask),
    });
    expect(many.status).toBe(200);
    created += 4;
    const claims = await waiting;
    expect(claims.map((claim) => claim.json().tasks.length)).toEqual([1, 1, 1, 1]);
    await eventually(() => {
      for (const texts of heard) expect(texts.join("").match(/event: task.leased/g)?.length).toBeGreaterThanOrEqual(4);
    });
    stopped.abort();
    expect(
      (
        await servedBy(
          service,
          claims.map(({ requestId }) => requestId),
        )
      ).size,
    ).toBe(2);
    expect((await servedBy(service, [`stream-${created - 4}-0`, `stream-${created - 4}-1`])).size).toBe(2);
  });

  it("tell their metrics as one, whichever is asked", async () => {
    const told = await times(4, () => scrape(service));
    for (const metrics of told) {
      expect(metrics.get("bloom_tasks_created_total")).toBe(created);
      expect(metrics.get("bloom_processes")).toBe(2);
      expect(metrics.get("bloom_db_pool_max_connections")).toBe(12);
      expect(metrics.get(`bloom_build_info{version="1.0.0",node="${process.version}"}`)).toBe(1);
      expect(metrics.get("bloom_leases_active")).toBe(4);
    }
  });

  it("lose nothing that was acknowledged when one is killed, which is replaced", async () => {
    const acknowledged: string[] = [];
    let isOver = false;
    const clients = times(4, async () => {
      // Only a call to the process that was killed may fail.
      while (!isOver)
        await create(service).then(
          (made) => acknowledged.push(made.json().id),
          () => {},
        );
    });
    const before = (await scrape(service)).get("bloom_tasks_created_total");
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(20));
    const killed = linesOf(service).find(({ pid, msg }) => pid !== undefined && msg === "request")?.pid ?? 0;
    process.kill(killed, "SIGKILL");
    await eventually(async () => expect(linesOf(service).some(({ endedPid }) => endedPid === killed)).toBe(true));
    await eventually(async () => expect((await scrape(service)).get("bloom_processes")).toBe(2));
    isOver = true;
    await clients;
    const found = await times(acknowledged.length, (n) => call(service, `${R}/llm-tasks/${acknowledged[n]}`));
    expect(found.filter(({ status }) => status !== 200)).toEqual([]);
    const pids = await servedBy(
      service,
      (await times(4, () => create(service))).map(({ requestId }) => requestId),
    );
    expect([pids.size, pids.has(killed)]).toEqual([2, false]);
    expect((await scrape(service)).get("bloom_tasks_created_total")).toBeGreaterThanOrEqual(before ?? Number.NaN);
  });

  it("drain on SIGTERM without a failed call, and exit 0", async () => {
    await call(service, `${R}/workers`, { name: "full", capabilities: { max_concurrency: 1 } });
    const claim = () => call(service, `${R}/llm-tasks/claim`, { worker_id: "full", wait_seconds: 20 });
    expect((await claim()).status).toBe(200);
    const waiting = times(4, claim);
    await eventually(async () => expect((await scrape(service)).get('bloom_waiters{for="claim"}')).toBe(4));
    // A client goes on until it is told to leave, as one behind a proxy does.
    const clients = times(6, async () => {
      for (;;)
        if ((await call(service, "/readyz")).status !== 200) return (await create(service)).status;
        else expect((await create(service)).status).toBe(201);
    });
    const code = service.stop("SIGTERM");
    expect(await clients).toEqual(Array(6).fill(201));
    expect((await waiting).map(({ status }) => status)).toEqual(Array(4).fill(204));
    expect(await code).toBe(0);
  });
});
