/** Retention under faults: of tasks that were completed long ago, all go, each into an archive first, but for those of which something is new. */
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type pg from "pg";
import { insistOn } from "./database-faults.ts";
import type { Instance } from "./instances.ts";
import { untilNoneLeft } from "./until-none-left.ts";

/** For how many days the instances keep what has ended: longer than any run takes. */
export const KEPT_DAYS = 1;
const AGE_MS = 2 * 86_400_000;
const PATIENCE = { stuckAfterMs: 60_000, everyMs: 500 };
const NOW = "floor(extract(epoch from clock_timestamp()) * 1000)::bigint";

/**
 * A completed task `$1` with its lease `$2`, artifact `$3`, result `$4` and audit, all of it from `$5` milliseconds ago. `$6` is null, or
 * the id of a late result that came just now.
 */
const TASK = `
  with made as (select $1::uuid as task, $2::uuid as lease, $3::uuid as artifact, $4::uuid as result, ${NOW} - $5::bigint as at, $6::uuid as late),
  task as (
    insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
      lease_id, worker_id, attempts, max_attempts)
    select task, 'old', 'chaos', 'Prompt of ' || task, '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'completed', at, at, lease, 'gone', 1, 3 from made
    on conflict do nothing returning id
  ), lease as (
    insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
    select lease, task, 'gone', at, at, 300, 'released', at, 'old' from made join task on id = task
  ), artifact as (
    insert into runtime_artifacts (id, task_id, type, created_at, finalized, content, size_bytes, sha256)
    select artifact, task, 'LLM_RESULT', at, true, 'Output of ' || task, 46, encode(sha256(('Output of ' || task)::bytea), 'hex') from made join task on id = task
  ), result as (
    insert into llm_results (id, task_id, worker_id, artifact_id, status, metrics, completed_at, lease_id, body_sha256, accepted)
    select result, task, 'gone', artifact, 'success', '{"duration_ms": 1}'::jsonb, at, lease, repeat('0', 64), true from made join task on id = task
    union all
    select late, task, 'gone', artifact, 'success', '{"duration_ms": 1}'::jsonb, ${NOW}, gen_random_uuid(), repeat('0', 64), false
    from made join task on id = task where late is not null
  )
  insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
  select gen_random_uuid(), at, action, kind, case kind when 'lease' then lease else task end::text, 'gone', 'Status: success'
  from made join task on id = task, (values ('task_created', 'llm_task'), ('task_leased', 'lease'), ('task_completed', 'llm_task')) as entry (action, kind)`;

/** What is of a task of these, in the database. */
const WHOLE = `
  select t.id, l.id as lease, a.content, count(r.id)::int as results from llm_tasks t left join leases l on l.task_id = t.id
  left join runtime_artifacts a on a.task_id = t.id left join llm_results r on r.task_id = t.id where t.id = any($1::uuid[]) group by 1, 2, 3`;

interface Archived {
  table: string;
  row: { id: string; task_id: string; content?: string };
}

export class OldTasks {
  private readonly url: string;
  private readonly archive: string;
  /** What is to go, and what is to stay, by the task's id. */
  private readonly old = new Set<string>();
  private readonly kept = new Map<string, { lease: string }>();

  /** `url` is that of the database, and `dataDir` that of the instances. */
  constructor(url: string, dataDir: string) {
    this.url = url;
    this.archive = join(dataDir, "archive");
  }

  /** Makes one of each kind. */
  async make(): Promise<void> {
    for (const late of [null, randomUUID()]) {
      const [task = "", lease = "", artifact, result] = Array.from({ length: 4 }, () => randomUUID());
      await insistOn(this.url, (client) => client.query(TASK, [task, lease, artifact, result, AGE_MS, late]));
      if (late === null) this.old.add(task);
      else this.kept.set(task, { lease });
    }
  }

  /** Lets the instances remove what is left, and says what is wrong. */
  async findViolations(client: pg.Client, instances: Instance[]): Promise<string[]> {
    const left = async () =>
      (await client.query("select from llm_tasks where id = any($1::uuid[])", [[...this.old]])).rowCount ?? 0;
    if ((await left()) > 0) {
      // An instance that was killed keeps the lock for 5 minutes, and passes are 5 minutes apart. A restart makes one at once.
      await client.query("update runtime_retention set held_by = null, held_until = 0");
      for (const instance of instances) await instance.restart("SIGTERM");
    }
    const stayed = await untilNoneLeft(left, PATIENCE);
    return [
      ...(stayed === 0 ? [] : [`${stayed} of ${this.old.size} tasks that ended two days ago were not removed`]),
      ...(await this.findRemoved(client)),
      ...(await this.findUnarchived()),
    ];
  }

  count(): number {
    return this.old.size;
  }

  private async findRemoved(client: pg.Client): Promise<string[]> {
    const { rows } = await client.query(WHOLE, [[...this.kept.keys()]]);
    const found = new Map(rows.map((row) => [row.id, row]));
    return [...this.kept].flatMap(([id, { lease }]) => {
      const row = found.get(id);
      const isWhole = row?.lease === lease && row.content === `Output of ${id}` && row.results === 2;
      return isWhole ? [] : [`task ${id} has a result of today, and is not there as a whole any more`];
    });
  }

  private async findUnarchived(): Promise<string[]> {
    const names = (await readdir(this.archive).catch(() => [])).filter((name) => name.endsWith(".gz"));
    const tasks = new Set<string>();
    const parts = new Map<string, number>();
    for (const name of names) {
      const text = gunzipSync(await readFile(join(this.archive, name))).toString();
      for (const line of text.trimEnd().split("\n").slice(1)) {
        const { table, row }: Archived = JSON.parse(line);
        if (table === "llm_tasks") tasks.add(row.id);
        else if (table !== "runtime_artifacts" || row.content === `Output of ${row.task_id}`)
          parts.set(row.task_id, (parts.get(row.task_id) ?? 0) + 1);
      }
    }
    return [
      ...[...this.old]
        .filter((id) => !tasks.has(id) || (parts.get(id) ?? 0) < 3)
        .map((id) => `task ${id} was removed, and is in no archive as a whole`),
      ...[...tasks].filter((id) => !this.old.has(id)).map((id) => `task ${id} was archived, and is not old`),
    ];
  }
}
