import { tmpdir } from "node:os";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { watchDisk } from "../../src/disk-space.ts";
import { createMeters } from "../../src/metrics/service-meters.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";
import { MAIN_KEY } from "../support/keys.ts";

const { db, query } = await createTestDatabase();
const env = { RUNTIME_API_KEY: MAIN_KEY, RATE_LIMIT_PER_MINUTE: "2" };
const ready = { status: 200, body: { status: "ready" } };
const notReady = (error: unknown) => ({ status: 503, body: { status: "not ready", error } });

describe("/livez and /readyz", () => {
  it("need no key, and count for no limit", async () => {
    const { api } = await startApp(db, { env });
    for (let asked = 0; asked < 5; asked++) {
      expect(await api.get("/livez")).toMatchObject({ status: 200, body: { status: "alive" } });
      expect(await api.get("/readyz")).toMatchObject(ready);
    }
  });

  it("say that a service which stops is alive and not ready", async () => {
    const { api, stopping } = await startApp(db, { env });
    stopping.abort();
    expect(await api.get("/livez")).toMatchObject({ status: 200 });
    expect(await api.get("/readyz")).toMatchObject(notReady("The service is stopping."));
  });

  it("say so while the database lacks a migration, as one that was restored may", async () => {
    const { api } = await startApp(db, { env });
    const [last] = await query<{ hash: string; created_at: string }>(
      "delete from bloom_runtime.migrations where id = (select max(id) from bloom_runtime.migrations) returning hash, created_at",
    );
    expect(await api.get("/readyz")).toMatchObject(notReady(expect.stringMatching(/^The database lacks 1 migration/)));
    await query("insert into bloom_runtime.migrations (hash, created_at) values ($1, $2)", [
      last?.hash,
      last?.created_at,
    ]);
  });
});

describe("a disk that is nearly full", () => {
  const R = "/api/runtime";
  const more = "1000000000";
  const task = { context_id: "c", agent_slug: "a", prompt: "p" };

  it("is said in the health call, and new work is refused while held work is completed", async () => {
    const { api } = await startApp(db, { env: { DISK_WARN_MB: more, DISK_REFUSE_MB: more } });
    const { task: held, lease } = await aLeasedTask(db);
    const refused = [
      await api.post(`${R}/llm-tasks`).send(task),
      await api.post(`${R}/llm-tasks/bulk`).send({ tasks: [task] }),
      await api.post(`${R}/llm-tasks/${held.id}/replay`).send({}),
      await api.put(`${R}/llm-tasks/${held.id}/output`).set("X-Lease-Id", lease.id).type("text").send("o"),
    ];
    expect(refused.map(({ status }) => status)).toEqual([507, 507, 507, 507]);
    expect(refused[0]?.body.error).toMatch(/^The disk of the database is nearly full/);
    const [made] = await query<{ tasks: number }>("select count(*)::int as tasks from llm_tasks");
    expect(made?.tasks).toBe(1);
    expect((await api.get(`${R}/health`).expect(200)).body).toMatchObject({
      status: "ok",
      disk: expect.stringMatching(/^Only \d+ MB are free .+ New work is refused until there is more\.$/),
    });
    const done = { status: "success", output: "o", metrics: { duration_ms: 1 }, lease_id: lease.id };
    await api.post(`${R}/llm-tasks/${held.id}/complete`).send(done).expect(200);
    expect((await api.get("/metrics")).text).toMatch(/^bloom_disk_free_bytes \d+$/m);
  });

  it("is said before anything is refused, and is not asked for where the database is on a server of its own", async () => {
    const warned = await startApp(db, { env: { DISK_WARN_MB: more, DISK_REFUSE_MB: "1" } });
    await warned.api.post(`${R}/llm-tasks`).send(task).expect(201);
    expect((await warned.api.get(`${R}/health`)).body.disk).toMatch(/Below 1 MB, new work is refused\.$/);
    const elsewhere = { DATABASE_URL: "postgresql://db.example/bloom", DISK_WARN_MB: more, DISK_REFUSE_MB: more };
    const { api } = await startApp(db, { env: elsewhere });
    await api.post(`${R}/llm-tasks`).send(task).expect(201);
    expect((await api.get(`${R}/health`)).body).not.toHaveProperty("disk");
  });

  it("is in the log at every look, until there is enough space again", async () => {
    const lines: { level: number; msg: string }[] = [];
    const log = pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const limits = { warnBelow: Number.MAX_SAFE_INTEGER, refuseBelow: 0 };
    const disk = watchDisk(tmpdir(), limits, { log, meters: createMeters() });
    await disk.look();
    limits.warnBelow = 0;
    await disk.look();
    await disk.look();
    expect(lines.map(({ level }) => level)).toEqual([40, 30]);
  });
});
