import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aWorker } from "../support/factories.ts";
import { LEASE, WORKER } from "../support/record-shapes.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const WORKERS = "/api/runtime/workers";
const register = (body: object) => api.post(WORKERS).send(body);

const auditOf = (id: string) =>
  query("select action, entity_type, actor, detail from audit_logs where entity_id = $1 order by timestamp, id", [id]);

describe("POST /api/runtime/workers", () => {
  it("registers a new worker with the defaults (201), and audits it", async () => {
    const { status, body } = await register({ name: "rpi" });
    expect([status, body]).toEqual([201, WORKER]);
    expect(body).toMatchObject({
      id: "rpi",
      node_id: "rpi",
      url: "",
      status: "online",
      capabilities: { claude_cli: true, max_concurrency: 1, labels: [] },
      ip_addrs: [],
      obs_count: 0,
      db_sha: "",
      active_leases: 0,
      last_heartbeat: body.registered_at,
    });
    const detail = "Worker rpi registered, status=online, max_concurrency=1";
    expect(await auditOf("rpi")).toEqual([
      { action: "worker_registered", entity_type: "worker", actor: "api", detail },
    ]);
  });

  it("updates a known one (200), which keeps its url and what it did not say of itself", async () => {
    const { worker } = await aLeasedTask(db, {
      worker: { name: "orange", url: "http://orange:8001", os_info: "Linux" },
    });
    await query("update workers set obs_count = 12, db_sha = 'abc', last_heartbeat = 1 where id = 'orange'");
    const { status, body } = await register({
      name: "orange",
      status: "syncing",
      capabilities: { max_concurrency: 4, labels: ["arm64"] },
      ip_addrs: ["10.0.0.7"],
    });
    expect([status, body]).toEqual([200, WORKER]);
    expect(body).toMatchObject({
      url: "http://orange:8001",
      os_info: "Linux",
      status: "syncing",
      capabilities: { claude_cli: true, max_concurrency: 4, labels: ["arm64"] },
      ip_addrs: ["10.0.0.7"],
      obs_count: 12,
      db_sha: "abc",
      registered_at: worker.registered_at,
      active_leases: 1,
    });
    const detail = "Worker orange registered, status=syncing, max_concurrency=4";
    expect((await auditOf("orange")).at(-1)).toEqual({
      action: "worker_updated",
      entity_type: "worker",
      actor: "api",
      detail,
    });
  });

  it("keeps what the node agents send of themselves", async () => {
    const said = { agent_version: "0.4.0", os_info: "Linux 6.1", install_method: "script" };
    expect((await register({ name: "agent", ...said })).body).toMatchObject(said);
    expect((await register({ name: "agent", url: "", ...said, os_info: null })).body).toMatchObject(said);
  });

  it("lets a known worker keep each thing that it does not send", async () => {
    const known = {
      status: "syncing",
      capabilities: { claude_cli: false, max_concurrency: 7, labels: ["gpu"] },
      ip_addrs: ["10.0.0.9"],
    };
    await register({ name: "kept", ...known });
    expect((await register({ name: "kept" })).body).toMatchObject(known);
    const { body } = await register({ name: "kept", capabilities: { max_concurrency: 2 } });
    expect(body.capabilities).toEqual({ claude_cli: false, max_concurrency: 2, labels: ["gpu"] });
    expect((await auditOf("kept")).at(-1)?.detail).toBe("Worker kept registered, status=syncing, max_concurrency=2");
    expect((await register({ name: "kept", capabilities: { labels: [] }, ip_addrs: [] })).body).toMatchObject({
      capabilities: { claude_cli: false, max_concurrency: 2, labels: [] },
      ip_addrs: [],
    });
    await query("update workers set status = 'offline' where id = 'kept'");
    expect((await register({ name: "kept" })).body.status).toBe("online");
  });

  it.each<[string, unknown]>([
    ["name", undefined],
    ["name", ""],
    ["name", "x".repeat(129)],
    ["name", "a\0"],
    ["url", "not a url"],
    ["url", "ftp://x"],
    ["url", "javascript:alert(1)"],
    ["status", "busy"],
    ["capabilities", { max_concurrency: 0 }],
    ["capabilities", { max_concurrency: 33 }],
    ["capabilities", { labels: [1] }],
    ["ip_addrs", "10.0.0.7"],
    ["boot_id", 5],
  ])("refuses %s: %j, naming the field, and registers nobody", async (field, value) => {
    const written = () => query("select (select count(*) from workers), (select count(*) from audit_logs)");
    const before = await written();
    const { status, body } = await register({ name: "wrong", [field]: value });
    expect([status, body]).toEqual([
      400,
      { error: { formErrors: [], fieldErrors: { [field]: [expect.any(String)] } } },
    ]);
    expect(await written()).toEqual(before);
  });
});

describe("GET /api/runtime/workers", () => {
  it("lists all, each with the number of its active leases", async () => {
    const { worker } = await aLeasedTask(db);
    const idle = await aWorker(db);
    const { status, body } = await api.get(WORKERS);
    expect([status, body]).toEqual([200, body.map(() => WORKER)]);
    const loads = Object.fromEntries(body.map(({ id, active_leases }: typeof worker) => [id, active_leases]));
    expect(loads).toMatchObject({ [worker.id]: 1, [idle.id]: 0 });
  });

  it("answers one with its active leases, or 404", async () => {
    const { worker, lease } = await aLeasedTask(db);
    const { status, body } = await api.get(`${WORKERS}/${worker.id}`);
    expect([status, body]).toEqual([200, { ...WORKER, leases: [LEASE] }]);
    expect(body).toMatchObject({ active_leases: 1, leases: [{ id: lease.id }] });
    for (const id of ["nobody", "%00", "%F0%9F%8C%B1"]) {
      const missing = await api.get(`${WORKERS}/${id}`);
      expect([missing.status, missing.body]).toEqual([404, { error: "Worker not found" }]);
    }
  });
});

describe("DELETE /api/runtime/workers/:id", () => {
  it("forgets it, puts its tasks back in the queue, and audits it", async () => {
    const { task, worker } = await aLeasedTask(db);
    const { status, body } = await api.delete(`${WORKERS}/${worker.id}`);
    expect([status, body]).toEqual([200, { removed: true, id: worker.id }]);
    expect((await api.get(`${WORKERS}/${worker.id}`)).status).toBe(404);
    expect((await api.get(`/api/runtime/llm-tasks/${task.id}`)).body.status).toBe("queued");
    expect((await auditOf(worker.id)).at(-1)).toEqual({
      action: "worker_removed",
      entity_type: "worker",
      actor: "admin",
      detail: `Worker ${worker.id} unregistered`,
    });
    const again = await api.delete(`${WORKERS}/${worker.id}`);
    expect([again.status, again.body]).toEqual([404, { error: "Worker not found" }]);
  });

  it("finds a name with a slash, a space and letters of any kind", async () => {
    const name = "hütte / büro ✓";
    await register({ name });
    expect((await api.delete(`${WORKERS}/${encodeURIComponent(name)}`)).body).toEqual({ removed: true, id: name });
  });
});
