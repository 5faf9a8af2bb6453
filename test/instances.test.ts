import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Task } from "../src/contract/record-types.ts";
import { createTestDatabase } from "./support/database.ts";
import { eventually } from "./support/eventually.ts";
import { pgbouncerPath, startPgbouncer } from "./support/pgbouncer.ts";
import { type ServiceProcess, startService } from "./support/service-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const SWEEP_INTERVAL_MS = 500;
const DATA_DIR = await temporaryFolder("bloom-instances-");

async function call<Answer>({ url }: ServiceProcess, path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${url}/api/runtime${path}`, {
    method: body ? "POST" : "GET",
    headers: { "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

const BOUNCER = pgbouncerPath
  ? "through PgBouncer in transaction mode"
  : "through PgBouncer (skipped: it is not installed here; Debian has it as pgbouncer)";

describe.each(["directly", BOUNCER])("two instances that reach an empty database %s", async (way) => {
  const missing = way !== "directly" && pgbouncerPath === undefined;
  const run = it.skipIf(missing);
  let one: ServiceProcess;
  let two: ServiceProcess;
  const { url, query } = await createTestDatabase({ from: "template0" });
  const behind = way === "directly" || !pgbouncerPath ? undefined : await startPgbouncer(pgbouncerPath, url);
  afterAll(async () => {
    await Promise.all([one?.stop(), two?.stop()]);
    await behind?.stop();
  });

  beforeAll(async () => {
    if (missing) return;
    const env = {
      DATABASE_URL: behind?.url ?? url,
      DATA_DIR,
      MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
      RATE_LIMIT_PER_MINUTE: "0",
      SWEEP_INTERVAL_MS: String(SWEEP_INTERVAL_MS),
      WORKER_SYNC_INTERVAL_MS: "200",
    };
    [one, two] = await Promise.all([startService(env), startService(env)]);
    await call(one, "/workers", { name: "rpi", capabilities: { max_concurrency: 32 } });
  });

  const create = (at: ServiceProcess) =>
    call<Task>(at, "/llm-tasks", { context_id: "c", agent_slug: "a", prompt: "p" });

  run("migrate it once, and share each step of a task's life", async () => {
    const { id } = await create(one);
    await call(two, `/llm-tasks/${id}/lease`, {});
    await call(one, `/llm-tasks/${id}/heartbeat`, {});
    await call(two, `/llm-tasks/${id}/complete`, { status: "success", output: "x", metrics: { duration_ms: 1 } });
    expect(await call(one, `/llm-tasks/${id}`)).toMatchObject({ status: "completed", attempts: 1 });
  });

  run("see within 2 s what was configured on the other", async () => {
    await call(one, "/config", {
      membridge_server_url: "http://127.0.0.1:7",
      admin_key: "a key of sixteen letters".replaceAll(" ", "-"),
    });
    await eventually(async () =>
      expect(await call(two, "/config")).toMatchObject({ membridge_server_url: "http://127.0.0.1:7" }),
    );
  });

  run("sweep and mark offline each thing once", async () => {
    await call(one, "/workers", { name: "silent" });
    const tasks = await Promise.all(Array.from({ length: 40 }, (_, n) => create(n % 2 ? one : two)));
    await Promise.all(tasks.map(({ id }) => call(one, `/llm-tasks/${id}/lease`, { worker_id: "rpi" })));
    await query("update leases set expires_at = 0 where status = 'active'");
    await query("update workers set last_heartbeat = 1 where id = 'silent'");
    const entries = (action: string) => query("select entity_id from audit_logs where action = $1", [action]);
    await eventually(async () => {
      expect(await entries("lease_expired")).toHaveLength(40);
      expect(await entries("worker_offline")).toHaveLength(1);
    });
    const { tasks: counted } = await call<{ tasks: { by_status: object } }>(two, "/stats");
    expect(counted.by_status).toMatchObject({ queued: 40 });
    // A later pass has found nothing of these left to do.
    const { id } = await create(one);
    await call(two, `/llm-tasks/${id}/lease`, { worker_id: "rpi" });
    await query("update leases set expires_at = 0 where task_id = $1", [id]);
    await eventually(async () => expect(await call(one, `/llm-tasks/${id}`)).toMatchObject({ status: "queued" }));
    expect(await entries("lease_expired")).toHaveLength(41);
    expect(await entries("worker_offline")).toHaveLength(1);
  });

  run("repair within two sweeps what one that was killed left behind", async () => {
    const { id } = await create(one);
    await call(one, `/llm-tasks/${id}/lease`, { worker_id: "rpi", ttl_seconds: 1 });
    await one.stop("SIGKILL");
    const isQueued = async () =>
      expect(await call(two, `/llm-tasks/${id}`)).toMatchObject({ status: "queued", attempts: 1 });
    await eventually(isQueued);
    expect(await two.stop()).toBe(0);
  });
});
