/** What a task prints while it runs: a bounded tail, which is deleted a minute after the task has ended. The result is stored by complete.ts. */
import { sql } from "drizzle-orm";
import type { LiveOutput } from "../contract/requests.ts";
import type { Db } from "../db/client.ts";
import { nowMs } from "../db/clock.ts";
import { isUuid } from "../db/ids.ts";
import { statement } from "../db/statement.ts";
import { isHeldUnder, leaseMeant, requireHeld, staleLease, taskHasEnded } from "./fence.ts";
import { getTask } from "./get-task.ts";

/** The most that is kept of a task's output. */
const TAIL_BYTES = 256 * 1024;
/** How long the tail is kept after the task has ended, so that followers can still read it. */
const KEPT_AFTER_END_MS = 60_000;
const PER_PASS = 1_000;
/** Pieces in one answer; 64 KB each at most. */
const PIECES = 100;

type Values = { taskId: string; leaseId: string | null; seq: number; text: string; bytes: number };
const given = (name: keyof Values) => sql.placeholder(name);

const ADD = statement<{ isHeld: boolean }, Values>(
  "add_live_output",
  sql`with held as (
      select t.id, l.id as lease_id from llm_tasks t join leases l on l.id = t.lease_id
      where t.id = ${given("taskId")} and ${isHeldUnder(sql`${given("leaseId")}::uuid`)}
    ), added as (
      insert into runtime_live_output (task_id, lease_id, seq, text, bytes, created_at)
      select id, lease_id, ${given("seq")}::int, ${given("text")}, ${given("bytes")}::int, ${nowMs} from held
      on conflict (lease_id, seq) do nothing
    ), tail as (
      select position, sum(bytes) over (order by position desc) as total from runtime_live_output where task_id = (select id from held)
    ), cut as (
      delete from runtime_live_output
      where position in (select position from tail where total > ${sql.raw(String(TAIL_BYTES))} - ${given("bytes")}::int)
    )
    select exists (select from held) as "isHeld"`,
);

/**
 * Takes a piece of what the task prints under its lease. The same `seq` again adds nothing. NotFound: no such task. Conflict: nobody holds it, or
 * another lease does.
 */
export async function addLiveOutput(db: Db, taskId: string, { lease_id, seq, text }: LiveOutput): Promise<void> {
  const isKnown = isUuid(taskId) && (lease_id === undefined || isUuid(lease_id));
  const values = { taskId, leaseId: lease_id ?? null, seq, text, bytes: Buffer.byteLength(text) };
  if (isKnown && (await ADD(db, values))[0]?.isHeld) return;
  requireHeld(await getTask(db, taskId));
  throw staleLease((await leaseMeant(db, taskId, lease_id))?.lease ?? lease_id);
}

/** A piece of a task's output: `position` grows over all of the task's attempts; pass it as `after` to read what follows. */
export interface Piece {
  position: number;
  lease_id: string;
  at: number;
  text: string;
}

/** What there is of a task's output behind a position. `isOver`: the task has ended, and nothing more comes. */
export interface Pieces {
  task_id: string;
  pieces: Piece[];
  isOver: boolean;
}

const READ = statement<Pieces, { taskIds: string[]; positions: string[] }>(
  "read_live_output",
  sql`select t.id as task_id, ${taskHasEnded} as "isOver", coalesce((
      select json_agg(json_build_object('position', position, 'lease_id', lease_id, 'at', created_at, 'text', text) order by position)
      from (
        select * from runtime_live_output o where o.task_id = t.id and position > asked.position order by position limit ${sql.raw(String(PIECES))}
      ) as found
    ), '[]') as pieces
    from unnest(${sql.placeholder("taskIds")}::uuid[], ${sql.placeholder("positions")}::bigint[]) as asked (id, position)
    join llm_tasks t on t.id = asked.id`,
);

/** What there is of each of these tasks behind a position, 100 pieces at most. A task that is not there has no answer. */
export async function readLiveOutput(db: Db, asked: { taskId: string; after: number }[]): Promise<Pieces[]> {
  if (asked.length === 0) return [];
  return await READ(db, {
    taskIds: asked.map(({ taskId }) => taskId),
    positions: asked.map(({ after }) => String(after)),
  });
}

/** Drops what ended tasks have printed, a minute after their end; gives how many pieces. */
export async function cleanLiveOutput(db: Db): Promise<number> {
  const { rows } = await db.execute<{ removed: number }>(sql`
    with over as (
      select position from runtime_live_output o left join llm_tasks t on t.id = o.task_id
      where t.id is null or (${taskHasEnded} and t.updated_at < ${nowMs} - ${KEPT_AFTER_END_MS})
      order by position limit ${PER_PASS}
    ), removed as (
      delete from runtime_live_output where position in (select position from over) returning position
    )
    select count(*)::int as removed from removed`);
  return rows[0]?.removed ?? 0;
}
