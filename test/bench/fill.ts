import type pg from "pg";
import { CONTEXTS, WORKERS } from "./work.ts";

/** Rows of one statement: its memory stays small, whatever the size. */
const BATCH = 50_000;

/** In SQL, an id as a new record of that time has it (db/ids.ts): records that were made together lie together in the indexes. */
const idAt = (at: string) =>
  `(lpad(to_hex(${at}), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid`;

/**
 * Fills the tables as if `size` tasks had been there for months: 5 % or `queuedShare` are queued, 5 % have ended badly, and the others are
 * completed with their lease, result, artifact and three audit entries. Gives a completed and a queued task's id.
 */
export async function fill(
  client: pg.Client,
  size: number,
  queuedShare = 0.05,
): Promise<{ completed: string; queued: string }> {
  await client.query("set synchronous_commit = off");
  for (let from = 1; from <= size; from += BATCH)
    await fillBatch(client, { size, queuedShare, from, to: Math.min(size, from + BATCH - 1) });
  await client.query("reset synchronous_commit");
  await client.query("vacuum (analyze)");
  const one = async (status: string) => {
    const { rows } = await client.query<{ id: string }>("select id from llm_tasks where status = $1 limit 1", [status]);
    return rows[0]?.id ?? "";
  };
  return { completed: await one("completed"), queued: await one("queued") };
}

async function fillBatch(
  client: pg.Client,
  { size, queuedShare, from, to }: { size: number; queuedShare: number; from: number; to: number },
): Promise<void> {
  await client.query(
    `create temp table batch on commit preserve rows as
     select n, at, ${idAt("at")} as id, ${idAt("at + 100")} as lease_id, ${idAt("at + 1500")} as artifact_id,
       'context-' || n % ${CONTEXTS} as context_id, 'bench-' || n % ${WORKERS} as worker_id,
       case when n > $3 * (1 - $4::float8) then 'queued' when n % 20 = 0 then (array['failed', 'dead', 'cancelled'])[1 + n / 20 % 3]
         else 'completed' end as status
     from generate_series($1::int, $2::int) n,
       lateral (select floor(extract(epoch from now()) * 1000)::bigint - ($3 - n) * 30::bigint - 3600000 as at) as time`,
    [from, to, size, queuedShare],
  );
  await client.query(
    `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
       lease_id, worker_id, attempts, max_attempts)
     select id, context_id, 'writer', repeat('Write a haiku about seeds. ', 10), '[]', '{"timeout_sec": 120, "budget": 0}', 'text', status, at, at + 1500,
       case when status <> 'queued' then lease_id end, case when status <> 'queued' then worker_id end,
       case when status = 'queued' then 0 else 1 end, 3 from batch`,
  );
  await client.query(
    `insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
     select lease_id, id, worker_id, at + 100, at + 300100, 300, case when status = 'dead' then 'expired' else 'released' end, at + 1000, context_id
     from batch where status <> 'queued'`,
  );
  await client.query(
    `insert into runtime_artifacts (id, task_id, type, created_at, finalized, content, size_bytes, sha256)
     select artifact_id, id, 'LLM_RESULT', at + 1500, true, repeat('A seed holds its breath. ', 20), 500, repeat('0', 64)
     from batch where status = 'completed'`,
  );
  await client.query(
    `insert into llm_results (id, task_id, worker_id, artifact_id, status, metrics, completed_at, lease_id, body_sha256)
     select ${idAt("at + 1500")}, id, worker_id, artifact_id, 'success', '{"duration_ms": 1200}', at + 1500, lease_id, repeat('0', 64)
     from batch where status = 'completed'`,
  );
  await client.query(
    `insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
     select ${idAt("at + 500 * k")}, at + 500 * k, (array['task_created', 'task_leased', 'task_completed'])[k],
       case when k = 2 then 'lease' else 'llm_task' end, case when k = 2 then lease_id else id end, 'bench', 'as it was'
     from batch, generate_series(1, 3) k`,
  );
  await client.query("drop table batch");
}
