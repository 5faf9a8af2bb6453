/** What this machine can do at most: the ratios of the benchmark are to these, measured in the same run. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import pg from "pg";
import type { LoadResult } from "./load.ts";
import { newTask } from "./work.ts";

const TABLES = `
  create table floor_tasks (id uuid primary key, prompt text not null, status text not null, lease_id uuid);
  create table floor_leases (id uuid primary key, task_id uuid not null, expires_at bigint not null, status text not null);
  create table floor_results (id uuid primary key, task_id uuid not null, output text not null);`;

const STATEMENTS = {
  create: "insert into floor_tasks (id, prompt, status) values ($1, $2, 'queued')",
  lease: `with task as (update floor_tasks set status = 'leased', lease_id = $2 where id = $1 and status = 'queued' returning id)
    insert into floor_leases (id, task_id, expires_at, status) select $2, id, 0, 'active' from task`,
  heartbeat: "update floor_leases set expires_at = expires_at + 1 where id = $1 and status = 'active'",
  complete: `with task as (update floor_tasks set status = 'completed' where id = $1 and status = 'leased' returning id),
    lease as (update floor_leases set status = 'released' where id = $2 and status = 'active' returning id)
    insert into floor_results (id, task_id, output) select $3, task.id, $4 from task, lease`,
};

/** Lifecycles a second as four prepared single statements, each a transaction of its own, without a service around them. */
export async function sqlFloor(url: string, clients: number, seconds: number): Promise<number> {
  const side = new pg.Client({ connectionString: url });
  await side.connect();
  await side.query(TABLES);
  const text = "x".repeat(400);
  let done = 0;
  const end = performance.now() + seconds * 1_000;
  const client = async () => {
    const connection = new pg.Client({ connectionString: url });
    await connection.connect();
    const run = (name: keyof typeof STATEMENTS, values: string[]) =>
      connection.query({ name, text: STATEMENTS[name], values });
    while (performance.now() < end) {
      const [task, lease] = [randomUUID(), randomUUID()];
      await run("create", [task, text]);
      await run("lease", [task, lease]);
      await run("heartbeat", [lease]);
      await run("complete", [task, lease, randomUUID(), text]);
      done += 1;
    }
    await connection.end();
  };
  await Promise.all(Array.from({ length: clients }, client));
  await side.query("drop table floor_tasks, floor_leases, floor_results");
  await side.end();
  return done / seconds;
}

/** The tasks of one call, and of one statement, that create many. */
export const MANY = 100;

/** Tasks a second that statements of `MANY` rows insert into `llm_tasks` with all of its indexes, without a service and without an audit. */
export async function insertFloor(url: string, clients: number, seconds: number): Promise<number> {
  const columns =
    "id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at, attempts, max_attempts";
  const values = (row: number) =>
    `($${row * 4 + 1}, $${row * 4 + 2}, $${row * 4 + 3}, $${row * 4 + 4}, '[]', '{}', 'text', 'queued', 1, 1, 0, 3)`;
  const text = `insert into llm_tasks (${columns}) values ${Array.from({ length: MANY }, (_, row) => values(row)).join(", ")}`;
  let done = 0;
  const end = performance.now() + seconds * 1_000;
  const client = async () => {
    const connection = new pg.Client({ connectionString: url });
    await connection.connect();
    while (performance.now() < end) {
      const rows = Array.from({ length: MANY }, (_, n) => newTask(done + n)).map((task) => [
        randomUUID(),
        task.context_id,
        task.agent_slug,
        task.prompt,
      ]);
      await connection.query({ name: "insert many", text, values: rows.flat() });
      done += MANY;
    }
    await connection.end();
  };
  await Promise.all(Array.from({ length: clients }, client));
  return done / seconds;
}

/** Runs the load against Express as it comes, in a process of its own. */
export async function expressFloor(run: (base: string) => Promise<LoadResult>): Promise<LoadResult> {
  const script = fileURLToPath(new URL("bare-express.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [printed] = await once(child.stdout, "data");
    return await run(`http://127.0.0.1:${String(printed).match(/\d+/)?.[0]}`);
  } finally {
    child.kill();
  }
}
