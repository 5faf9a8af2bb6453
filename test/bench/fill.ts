import type pg from "pg";
import { CONTEXTS, WORKERS } from "./work.ts";

/** Rows of one statement: its memory stays small, whatever the size. */
const BATCH = 50_000;

/** In SQL, an id as a new record of that time has it (db/ids.ts): records that were made together lie together in the indexes. */
const idAt = (at: string) =>
  `(lpad(to_hex(${at}), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid`;

/**
 * Fills the tables as if `size` tasks had been there for months, with the rows that the service writes: 5 % or `queuedShare` are queued, 5 % failed,
 * were lost with their worker or cancelled, and the others are completed. Gives a completed and a queued task's id.
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

/** The statuses of the tasks that a worker had, and of those that it ended. A cancelled one was still queued. */
const LEASED = "status in ('completed', 'failed', 'dead')";
const ENDED = "status in ('completed', 'failed')";
const OUTPUT = "repeat('A seed holds its breath. ', 20)";
const LOST = "no heartbeat before it was overdue";

/** What was written down of each task in the batch for which `which` is true. All but the names of the action and the type is SQL over its row. */
const ENTRIES = [
  {
    which: "true",
    at: "at",
    action: "task_created",
    type: "llm_task",
    entity: "id",
    actor: "'api'",
    detail: "'Task for agent writer, context ' || context_id",
  },
  {
    which: LEASED,
    at: "at + 100",
    action: "task_leased",
    type: "lease",
    entity: "lease_id",
    actor: "'router'",
    detail: "'Task ' || id || ' leased to worker ' || worker_id || ', TTL 300s'",
  },
  {
    which: ENDED,
    at: "ended_at",
    action: "task_completed",
    type: "llm_task",
    entity: "id",
    actor: "worker_id",
    detail: "'Status: ' || result || ', artifact: ' || artifact_id || ', duration: 1200ms'",
  },
  {
    which: "status = 'dead'",
    at: "ended_at",
    action: "lease_expired",
    type: "lease",
    entity: "lease_id",
    actor: "'runtime'",
    detail: `'Lease of task ' || id || ' to worker ' || worker_id || ' ended: ${LOST}'`,
  },
  {
    which: "status = 'dead'",
    at: "ended_at",
    action: "task_dead",
    type: "llm_task",
    entity: "id",
    actor: "'runtime'",
    detail: `'Attempt 1 of 1 ended without a result: ${LOST}'`,
  },
  {
    which: "status = 'cancelled'",
    at: "ended_at",
    action: "task_cancelled",
    type: "llm_task",
    entity: "id",
    actor: "'api'",
    detail: "'Cancelled while queued'",
  },
];

async function fillBatch(
  client: pg.Client,
  { size, queuedShare, from, to }: { size: number; queuedShare: number; from: number; to: number },
): Promise<void> {
  await client.query(
    `create temp table batch on commit preserve rows as
     select *, case status when 'completed' then 'success' else 'error' end as result,
       case status when 'queued' then at when 'dead' then at + 301000 else at + 1500 end as ended_at
     from (
       select at, ${idAt("at")} as id, ${idAt("at + 100")} as lease_id, ${idAt("at + 1500")} as artifact_id,
         'context-' || n % ${CONTEXTS} as context_id, 'bench-' || n % ${WORKERS} as worker_id,
         case when n > $3 * (1 - $4::float8) then 'queued' when n % 20 = 0 then (array['failed', 'dead', 'cancelled'])[1 + n / 20 % 3]
           else 'completed' end as status
       from generate_series($1::int, $2::int) n,
         lateral (select floor(extract(epoch from now()) * 1000)::bigint - ($3 - n) * 30::bigint - 3600000 as at) as time
     ) as task`,
    [from, to, size, queuedShare],
  );
  await client.query(
    `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
       lease_id, worker_id, attempts, max_attempts, last_error, tried_by, size_bytes)
     select id, context_id, 'writer', repeat('Write a haiku about seeds. ', 10), '[]', '{"timeout_sec": 120, "budget": 0}', 'text', status, at, ended_at,
       case when ${LEASED} then lease_id end, case when ${LEASED} then worker_id end, case when ${LEASED} then 1 else 0 end,
       case status when 'dead' then 1 else 3 end,
       case status when 'failed' then 'It failed.' when 'dead' then 'The lease of worker ' || worker_id || ' ended: ${LOST}' end,
       case status when 'dead' then worker_id end, 900
     from batch`,
  );
  await client.query(
    `insert into leases (id, task_id, worker_id, started_at, expires_at, ttl_seconds, status, last_heartbeat, context_id)
     select lease_id, id, worker_id, at + 100, beat + 300000, 300, case status when 'dead' then 'expired' else 'released' end, beat, context_id
     from batch, lateral (select case status when 'dead' then at + 100 else at + 1000 end as beat) as last where ${LEASED}`,
  );
  await client.query(
    `insert into runtime_artifacts (id, task_id, type, created_at, finalized, content, size_bytes, sha256)
     select artifact_id, id, 'LLM_RESULT', ended_at, true, output, octet_length(output), encode(sha256(convert_to(output, 'UTF8')), 'hex')
     from batch, lateral (select case result when 'success' then ${OUTPUT} end as output) as printed where ${ENDED}`,
  );
  await client.query(
    `insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, metrics, completed_at, lease_id, body_sha256)
     select ${idAt("ended_at")}, id, worker_id, artifact_id, result, case result when 'error' then 'It failed.' end, '{"duration_ms": 1200}',
       ended_at, lease_id, encode(sha256(convert_to(id::text, 'UTF8')), 'hex')
     from batch where ${ENDED}`,
  );
  const entries = ENTRIES.map(
    ({ which, at, action, type, entity, actor, detail }, place) =>
      `select ${place} as place, ${at} as written_at, '${action}' as action, '${type}' as type, ${entity} as entity, ${actor} as actor, ${detail} as detail
       from batch where ${which}`,
  );
  await client.query(
    `insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
     select ${idAt("written_at")}, written_at, action, type, entity, actor, detail from (${entries.join(" union all ")}) as entry
     order by written_at, place`,
  );
  await client.query("drop table batch");
}

/** Adds `count` workers `w-0`, `w-1`, … that are online, with room for 32 tasks each. `labels` is SQL over the number `n`. */
export async function fillWorkers(client: pg.Client, count: number, labels = "'[]'::jsonb"): Promise<void> {
  await client.query(
    `insert into workers (id, node_id, url, status, capabilities, registered_at, last_heartbeat)
     select 'w-' || n, 'w-' || n, 'http://127.0.0.1:9', 'online',
       jsonb_build_object('claude_cli', true, 'max_concurrency', 32, 'labels', ${labels}),
       1, floor(extract(epoch from now()) * 1000)::bigint from generate_series(0, ${count - 1}) n`,
  );
  await client.query("vacuum (analyze) workers");
}
