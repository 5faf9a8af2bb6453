/**
 * The fixtures are of commit 2c81e85: a database that its service filled through its calls (pg_dump), and what that service then answered. Only what
 * takes time, or has no call, was made by SQL: overdue leases, a worker that is away, rows as earlier services left them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import pg from "pg";
import { expect, it } from "vitest";
import { migrate } from "../../src/db/migrate.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createMembridgeConfig } from "../../src/saved-config/membridge-config.ts";
import { findKeyAndRecordUse } from "../../src/saved-config/named-keys.ts";
import { createSecretBox } from "../../src/saved-config/secret-box.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { inDatabase } from "../support/output-storage.ts";

const fixture = (name: string) =>
  gunzipSync(readFileSync(join(import.meta.dirname, `../fixtures/from-2c81e85.${name}.gz`))).toString();
type Row = Record<string, unknown> & { id: string };
/** By path. The time of the counts is left out. */
const answers: Record<string, Row[]> = JSON.parse(fixture("answers.json"), (name, value) =>
  name === "as_of" ? undefined : value,
);
const R = "/api/runtime";

const { db, url, query, makeOverdue } = await createTestDatabase({ from: "template0" });
const client = new pg.Client({ connectionString: url });
await client.connect();
await client.query(fixture("dump.sql"));
await client.end();
await migrate(url);
const { api } = await startApp(db);
const tasks = answers["/llm-tasks"] ?? [];
const taskOf = (slug: string) => tasks.find(({ agent_slug }) => agent_slug === slug)?.id;

it("an upgrade keeps every record as it was", async () => {
  const statuses = (path: string) => [...new Set(answers[path]?.map(({ status }) => status))].toSorted();
  expect(statuses("/llm-tasks")).toEqual(["cancelled", "completed", "dead", "failed", "leased", "queued", "running"]);
  expect(statuses("/leases")).toEqual(["active", "expired", "failed", "released"]);
  expect(statuses("/workers")).toEqual(["error", "offline", "online", "syncing", "unknown"]);
  for (const [path, before] of Object.entries(answers).filter(([path]) => path !== "/config")) {
    const { status, body, text } = await api.get(R + path);
    if (typeof before === "string") expect([path, text]).toEqual([path, before]);
    else expect([path, status, body]).toMatchObject([path, 200, before]);
  }
});

it("an upgrade keeps the keys, and what is encrypted", async () => {
  const box = createSecretBox("the settings key of the upgrade test");
  const membridgeConfig = createMembridgeConfig(db, box, { url: "", adminKey: "" }, inDatabase.log);
  expect(await membridgeConfig.address()).toEqual({
    url: "http://127.0.0.1:9",
    adminKey: "an-admin-key-of-Membridge",
  });
  expect(await findKeyAndRecordUse(db, "bloom_the-key-of-the-garden")).toMatchObject({
    name: "garden",
    role: "submit",
  });
  await expect(query("delete from runtime_artifacts")).rejects.toThrow("its rows are immutable");
});

it("work goes on after an upgrade: keys are known, leases end, and all that waits is done", async () => {
  const again = { context_id: "about queued-with-key", agent_slug: "queued-with-key" };
  const prompt = "Write about queued-with-key: tab\t, line\n, 🌱.";
  const { body } = await api
    .post(`${R}/llm-tasks`)
    .set("Idempotency-Key", "made before the upgrade")
    .send({ ...again, prompt })
    .expect(200);
  expect(body.id).toBe(taskOf("queued-with-key"));

  await makeOverdue();
  expect(await sweepOnce(db)).toMatchObject({ expired: 4, requeued: 3, cancelled: 1 });
  await query("update llm_tasks set not_before = null, retry_at = null where status = 'queued'");
  const worker = { name: "new", capabilities: { max_concurrency: 32, labels: ["arm"] } };
  await api.post(`${R}/workers`).send(worker).expect(201);
  const { body: claimed } = await api
    .post(`${R}/llm-tasks/claim`)
    .send({ worker_id: "new", max_tasks: 32 })
    .expect(200);
  const waited = ["queued", "leased", "running"];
  const expected = tasks.filter(
    ({ status, agent_slug }) => waited.includes(String(status)) && agent_slug !== "asked-to-cancel",
  );
  const slugs = (rows: Row[]) => rows.map(({ agent_slug }) => agent_slug).toSorted();
  expect(slugs(claimed.tasks.map(({ task }: { task: Row }) => task))).toEqual(slugs(expected));
  for (const { task, lease } of claimed.tasks) {
    const done = { status: "success", output: "{}", metrics: { duration_ms: 1 }, lease_id: lease.id };
    await api.post(`${R}/llm-tasks/${task.id}/complete`).send(done).expect(200);
  }
  for (const { id, status, agent_slug } of tasks) {
    const now = agent_slug === "asked-to-cancel" ? "cancelled" : waited.includes(String(status)) ? "completed" : status;
    expect((await api.get(`${R}/llm-tasks/${id}`)).body).toMatchObject({ agent_slug, status: now });
  }
  expect((await api.post(`${R}/llm-tasks/${taskOf("dead")}/requeue`).expect(200)).body.status).toBe("queued");
});
