/** A database as the earlier service made it, from neighbours.md, "The earlier service's tables", with rows in every state that it could get into. */
import { randomUUID } from "node:crypto";
import { ADMIN_KEY } from "./app.ts";
import type { TestDatabase } from "./database.ts";

const TABLES = `
  create table llm_tasks (id varchar primary key, context_id text, agent_slug text, prompt text, context_hints jsonb, policy jsonb,
    desired_format text, status text, created_at bigint, updated_at bigint, lease_id varchar, worker_id varchar, attempts integer, max_attempts integer);
  create table leases (id varchar primary key, task_id varchar, worker_id varchar, started_at bigint, expires_at bigint, ttl_seconds integer,
    status text, last_heartbeat bigint, context_id varchar);
  create table workers (id varchar primary key, node_id text, url text, status text, capabilities jsonb, last_heartbeat bigint,
    ip_addrs jsonb, obs_count integer, db_sha text, registered_at bigint, agent_version text, os_info text, install_method text);
  create table runtime_artifacts (id varchar primary key, task_id varchar, job_id varchar, type text, created_at bigint, finalized boolean,
    url text, entity_refs jsonb, tags jsonb, content text);
  create table llm_results (id varchar primary key, task_id varchar, worker_id varchar, artifact_id varchar, status text, output text,
    error_message text, metrics jsonb, completed_at bigint);
  create table audit_logs (id varchar primary key, "timestamp" bigint, action text, entity_type text, entity_id varchar, actor text, detail text);
  create table runtime_settings (key varchar primary key, value text);
  create table users (id varchar primary key, username text not null unique, password text not null);
  insert into users values ('u1', 'gardener', 'hash');`;

export const LEGACY_TABLES = [
  "llm_tasks",
  "leases",
  "workers",
  "runtime_artifacts",
  "llm_results",
  "audit_logs",
  "runtime_settings",
];

const NOW = Date.now();

type Row = Record<string, unknown>;

/** Writes the earlier service's tables and rows; gives the rows by what they are, and which of them need a repair. */
export async function makeLegacyDatabase({ query }: TestDatabase) {
  for (const statement of TABLES.split(";").filter((part) => part.trim())) await query(statement);

  async function insert<Fields extends Row>(table: string, row: Fields): Promise<Fields> {
    const columns = Object.keys(row).map((name) => `"${name}"`);
    const values = Object.values(row).map((value) =>
      typeof value === "object" && value ? JSON.stringify(value) : value,
    );
    await query(`insert into ${table} (${columns}) values (${values.map((_, n) => `$${n + 1}`)})`, values);
    return row;
  }
  const task = (status: string, fields: Row = {}) =>
    insert("llm_tasks", {
      id: randomUUID() as string,
      context_id: "garden",
      agent_slug: "writer",
      prompt: `A task that is ${status}.`,
      context_hints: ["seeds"],
      policy: { budget: 0, timeout_sec: 120 },
      desired_format: "text",
      status,
      created_at: NOW - 10_000,
      updated_at: NOW - 5_000,
      lease_id: null as string | null,
      worker_id: null as string | null,
      attempts: 0,
      max_attempts: 3,
      ...fields,
    });
  const lease = (task_id: string, status: string, fields: Row = {}) =>
    insert("leases", {
      id: randomUUID() as string,
      task_id,
      worker_id: "alpine",
      started_at: NOW - 9_000,
      expires_at: NOW + 291_000,
      ttl_seconds: 300,
      status,
      last_heartbeat: NOW - 9_000,
      context_id: "garden",
      ...fields,
    });
  const held = async (status: string, fields: Row = {}) => {
    const ids = { id: randomUUID(), lease_id: randomUUID() };
    await lease(ids.id, "active", { id: ids.lease_id });
    return task(status, { ...ids, worker_id: "alpine", attempts: 1, ...fields });
  };
  const finished = async (status: string, output: string) => {
    const ids = { id: randomUUID(), lease_id: randomUUID() };
    const artifact_id = randomUUID();
    await lease(ids.id, "released", { id: ids.lease_id });
    await insert("runtime_artifacts", {
      id: artifact_id,
      task_id: ids.id,
      job_id: null,
      type: "LLM_RESULT",
      created_at: NOW - 2_000,
      finalized: true,
      url: null,
      entity_refs: [],
      tags: ["t"],
      content: output,
    });
    await insert("llm_results", {
      id: randomUUID(),
      task_id: ids.id,
      worker_id: "alpine",
      artifact_id,
      status: status === "completed" ? "success" : "error",
      output,
      error_message: null,
      metrics: { duration_ms: 7 },
      completed_at: NOW - 2_000,
    });
    return task(status, { ...ids, worker_id: "alpine", attempts: 1 });
  };

  await insert("workers", {
    id: "alpine",
    node_id: "alpine",
    url: "http://192.168.1.10:8001",
    status: "online",
    capabilities: { labels: ["x86_64"], claude_cli: true, max_concurrency: 2 },
    last_heartbeat: NOW,
    ip_addrs: ["192.168.1.10"],
    obs_count: 12,
    db_sha: "abc",
    registered_at: NOW - 100_000,
    agent_version: "0.4.0",
    os_info: "Linux 6.1.0 x86_64",
    install_method: "script",
  });
  for (const [key, value] of Object.entries({
    membridge_server_url: "http://192.168.1.2:8000",
    admin_key: ADMIN_KEY,
    connected: "true",
    last_test: String(NOW - 1_000),
  }))
    await insert("runtime_settings", { key, value });
  await insert("audit_logs", {
    id: randomUUID(),
    timestamp: NOW - 10_000,
    action: "task_created",
    entity_type: "llm_task",
    entity_id: "gone",
    actor: "api",
    detail: "Task for agent writer, context garden",
  });

  const sound = {
    queued: await task("queued"),
    leased: await held("leased"),
    running: await held("running"),
    completed: await finished("completed", "A seed holds its breath"),
    failed: await finished("failed", "half a haiku"),
    dead: await task("dead", { attempts: 3, worker_id: "alpine", lease_id: randomUUID() }),
  };
  const twice = await held("running");
  const second = await lease(twice.id, "active", { worker_id: "rpi", started_at: NOW });
  const orphan = await lease(randomUUID(), "active");
  const ofCompleted = await lease(sound.completed.id, "active");
  const broken = {
    /** Held, but without any active lease. */
    lost: await task("leased", { attempts: 1, worker_id: "alpine", lease_id: randomUUID() }),
    lostForGood: await task("running", { attempts: 3, worker_id: "alpine", lease_id: randomUUID() }),
    /** Its lease was swept, but the task still names it. */
    namesALease: await task("queued", { attempts: 1, worker_id: "alpine", lease_id: randomUUID() }),
    unknownStatus: await task("paused"),
    withoutPolicy: await task("queued", { policy: null, context_hints: null }),
  };
  const oddId = await task("queued", { id: "task-17" });
  await insert("workers", {
    id: "odd",
    node_id: "odd",
    url: null,
    status: "away",
    capabilities: null,
    registered_at: NOW,
  });
  const strayArtifact = {
    id: randomUUID(),
    task_id: randomUUID(),
    type: "NOTE",
    created_at: NOW,
    finalized: true,
    content: "stray",
  };
  await insert("runtime_artifacts", { ...strayArtifact, entity_refs: [], tags: [] });

  return {
    sound,
    broken,
    oddId,
    twice,
    /** Entities of which the adoption has to say that it repaired them, by their earlier ids. */
    repaired: [...Object.values(broken).map(({ id }) => id), second.id, orphan.id, ofCompleted.id, "odd"],
    secondLease: second,
    strayArtifact,
  };
}
