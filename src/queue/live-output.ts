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
/**
 * The most pieces that are kept of it. Workers send one a second. With 240,000 pieces of one byte, an addition took 130 to 400 ms, since it counts
 * the bytes of all; with 2,000 a call takes 1.1 times as long as with none.
 */
const TAIL_PIECES = 2_000;
/** How long the tail is kept after the task has ended, so that followers can still read it. */
const KEPT_AFTER_END_MS = 60_000;
const PER_PASS = 1_000;
/** Pieces in one answer; 64 KB each at most. */
const PIECES = 100;
/** What a piece takes in an answer beside its text. */
const PIECE_FIELDS_BYTES = 150;

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
      select position, sum(bytes) over newest as total, row_number() over newest as nth
      from (
        select position, bytes from runtime_live_output where task_id = (select id from held)
        order by position desc limit ${sql.raw(String(TAIL_PIECES))}
      ) as last
      window newest as (order by position desc rows unbounded preceding)
    ), cut as (
      delete from runtime_live_output
      where task_id = (select id from held) and position <= (
        select max(position) from tail
        where total > ${sql.raw(String(TAIL_BYTES))} - ${given("bytes")}::int or nth = ${sql.raw(String(TAIL_PIECES))}
      )
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

/** What there is of a task's output behind a position. */
export interface Pieces {
  task_id: string;
  pieces: Piece[];
  /** The task has ended: behind what it has printed so far, nothing more comes. */
  isOver: boolean;
}

/** What a look at many tasks gives of one of them. */
export interface PiecesOfMany extends Pieces {
  /** Which of the questions it answers; the first is 0. */
  index: number;
  /** What was counted for its pieces: the bytes of their text, and 150 for each. */
  bytes: number;
  /** There are pieces behind these. */
  hasMore: boolean;
}

interface Question {
  taskId: string;
  /** The position behind which the pieces are wanted. */
  after: number;
  /** Bytes that this asker was given before; the asker with the fewest comes first. */
  had?: number;
}

type ReadValues = { taskIds: string[]; positions: string[]; had: string[]; mostOfOne: number; mostBytes: number };
const asking = (name: keyof ReadValues) => sql.placeholder(name);

/** The pieces are chosen without their texts, which are then read by their positions. */
const READ = statement<PiecesOfMany, ReadValues>(
  "read_live_output",
  sql`with asked as (
      select * from unnest(${asking("taskIds")}::uuid[], ${asking("positions")}::bigint[], ${asking("had")}::bigint[])
        with ordinality as asked (id, after, had, nth)
    ), there as (
      select nth, had, position, weight, sum(weight) over (partition by nth order by position) as own
      from asked cross join lateral (
        select position, bytes + ${sql.raw(String(PIECE_FIELDS_BYTES))} as weight from runtime_live_output
        where task_id = asked.id and position > asked.after order by position limit ${sql.raw(String(PIECES))}
      ) as next
    ), chosen as (
      select *, sum(weight) over (order by had + own, nth, position rows unbounded preceding) as total
      from there where own <= ${asking("mostOfOne")}::bigint or own = weight
    ), read as (
      select nth, max(own) as bytes, count(*) as pieces,
        json_agg(json_build_object('position', position, 'lease_id', lease_id, 'at', created_at, 'text', text) order by position) as list
      from chosen cross join lateral (
        select lease_id, created_at, text from runtime_live_output o where o.position = chosen.position offset 0
      ) as piece
      where total <= ${asking("mostBytes")}::bigint or total = weight
      group by nth
    )
    select (nth - 1)::int as index, t.id as task_id, ${taskHasEnded} as "isOver", coalesce(read.list, '[]') as pieces,
      coalesce(read.bytes, 0)::int as bytes,
      coalesce(counted.pieces > coalesce(read.pieces, 0) or counted.pieces = ${sql.raw(String(PIECES))}, false) as "hasMore"
    from asked join llm_tasks t on t.id = asked.id
      left join (select nth, count(*) as pieces from there group by nth) as counted using (nth)
      left join read using (nth)`,
);

/** What there is of the task behind a position, 100 pieces at most. Undefined: the task is not there. */
export async function readLiveOutput(db: Db, question: Question): Promise<Pieces | undefined> {
  const [found] = await readLiveOutputs(db, [question], { mostOfOne: Number.MAX_SAFE_INTEGER });
  return found;
}

/**
 * What there is of each of these tasks behind a position: 100 pieces and `mostOfOne` bytes of a task at most, but one piece in any case, and
 * `mostBytes` of all together. A question about a task that is not there has no answer.
 */
export async function readLiveOutputs(
  db: Db,
  asked: Question[],
  { mostOfOne, mostBytes = Number.MAX_SAFE_INTEGER }: { mostOfOne: number; mostBytes?: number },
): Promise<PiecesOfMany[]> {
  if (asked.length === 0) return [];
  return await READ(db, {
    taskIds: asked.map(({ taskId }) => taskId),
    positions: asked.map(({ after }) => String(after)),
    had: asked.map(({ had = 0 }) => String(had)),
    mostOfOne,
    mostBytes,
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
