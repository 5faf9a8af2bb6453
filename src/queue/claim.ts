import type { Caller } from "../caller.ts";
import type { LeasedTask } from "../contract/record-types.ts";
import type { ClaimTasks } from "../contract/requests.ts";
import { actorOf } from "../db/audit.ts";
import type { Locks } from "../db/batch-statement.ts";
import { batcher } from "../db/batcher.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { transition } from "../db/statement.ts";
import { Conflict } from "../errors.ts";
import { recordSignOfLife } from "../fleet/signs-of-life.ts";
import { Resting } from "../fleet/worker-rest.ts";
import { workerNotFound } from "../fleet/workers.ts";
import { CLAIMS, type ClaimOfOne } from "./claim-batch.ts";
import { CLAIM, type Claimed, type ClaimValues, LOOKED_AT, SPARE } from "./claim-statement.ts";
import { releaseIfAnswerLost } from "./release-undelivered.ts";
import { withResumeData } from "./resume-data.ts";
import { runOrLog } from "./run-or-log.ts";

/** A claim looks at `SPARE` tasks more than the worker has room for. When others have locked all of them, the next try looks at ten times as many. */
const WIDER = 10;
const WIDEST = SPARE * WIDER ** 3;

/** The tasks that a claim got, and what a worker that got none can be told or waits for. */
export interface Claim {
  leased: LeasedTask[];
  /** The worker's labels, as the text of a JSON array. */
  labels: string;
  hasRoom: boolean;
  /** There were tasks for the worker, but others had locked them, and may yet leave them. */
  isPassedOver: boolean;
}

/**
 * The transition queued -> leased for the oldest due tasks that the worker can take: up to `max_tasks`, up to its free room, which is exact under
 * any concurrency (lifecycle.md, invariant 5), and up to 16 MB, but at least one task. There may be none. A claim is a sign of life. A worker
 * without a CLI may claim, since it asks for itself.
 * NotFound: no such worker. Conflict: the worker is drained. Resting: it rests.
 */
export async function claimTasks(db: Db, caller: Caller | undefined, request: ClaimTasks): Promise<Claim> {
  const { worker_id } = request;
  const claimed = await claimWithin(db, caller, request, SPARE);
  const { leased, drained, drain, resting, rest, rest_seconds, needs_sign, seen, labels, room } = claimed;
  if (needs_sign) await runOrLog(db, caller, "claim", (what) => recordSignOfLife(db, worker_id, what));
  if (drained) {
    const why = drain?.reason ? `: ${drain.reason}` : "";
    throw new Conflict(`Worker ${worker_id} is drained and gets no new work${why}`);
  }
  if (resting && rest) throw new Resting(409, worker_id, rest, rest_seconds);
  return { leased, labels, hasRoom: room > 0, isPassedOver: leased.length === 0 && seen > 0 };
}

/** Claims, and tries again among `WIDER` times as many tasks where others had locked all tasks that it looked at. */
async function claimWithin(db: Db, caller: Caller | undefined, request: ClaimTasks, spare: number): Promise<Claimed> {
  const { worker_id, max_tasks = 1, ttl_seconds, agent_slugs = [] } = request;
  const ids = () => Array.from({ length: max_tasks }, newId);
  const leaseIds = ids();
  const values = {
    workerId: worker_id,
    maxTasks: max_tasks,
    slugs: agent_slugs.length > 0 ? agent_slugs : null,
    spare,
    ttlSeconds: ttl_seconds ?? null,
    actor: actorOf(caller, worker_id),
    leaseIds,
    entryIds: ids(),
  };
  const claimed = await releaseIfAnswerLost(db, caller, leaseIds, async () => {
    const found = mayBeBatched(values)
      ? await claims.send(db, values)
      : ((await takeUnlessLocked(db, values)) ?? (await takeFirst(db, values, "waits")));
    if (!found) throw workerNotFound();
    for (const ms of found.waited_ms ?? []) db.meters.taskWait.observe(ms / 1_000);
    return { ...found, leased: await withResumeData(db, worker_id, found.leased) };
  });
  const areMore = claimed.locked === 0 && claimed.seen > spare && spare < WIDEST;
  return areMore ? claimWithin(db, caller, request, spare * WIDER) : claimed;
}

/** True for the first try of a claim of one task, of any agent: it is sent in a batch with others. */
const mayBeBatched = ({ maxTasks, slugs, spare }: ClaimValues) => maxTasks === 1 && slugs === null && spare === SPARE;

/** What a claim says of a worker that got a task in a batch: it was neither drained nor resting. */
const FREE = { drained: false, drain: null, resting: false, rest: null, rest_seconds: null } as const;

/** Claims of one task each. A batch gives tasks to the workers for which that is simple. A claim that got none in a batch is made again alone. */
const claims = batcher<Claimed, ClaimValues>(
  {
    async together(db, requests) {
      const [first] = requests;
      if (requests.length === 1 && first) return [await takeUnlessLocked(db, first)];
      const rows = await CLAIMS(db, requests.map(claimOfOne));
      return rows.map((row) => row && { is_cut_off: false, seen: 1, locked: 1, ...FREE, ...row });
    },
    unlessLocked: takeUnlessLocked,
    alone: (db, values) => takeFirst(db, values, "waits"),
  },
  () => 0,
);

/** Like `takeFirst`, but undefined where there was a task for the worker, and somebody has locked the worker's row. */
async function takeUnlessLocked(db: Db, values: ClaimValues): Promise<Claimed | undefined> {
  const found = await takeFirst(db, values, "skips locked");
  return found.leased.length === 0 && found.locked > 0 ? undefined : found;
}

const claimOfOne = ({ workerId, ttlSeconds, leaseIds, entryIds, actor }: ClaimValues): ClaimOfOne => ({
  worker_id: workerId,
  wanted_seconds: ttlSeconds,
  lease_ids: leaseIds,
  entry_ids: entryIds,
  actor,
});

/**
 * Takes the tasks that come first, usually in one statement. Where tasks whose key is held stand before all others, a second statement looks key by
 * key; with more than 1,000 keys in a set of labels, a third looks at all tasks. With `agent_slugs`, the second one already does.
 */
async function takeFirst(db: Db, values: ClaimValues, locks: Locks): Promise<Claimed> {
  const { claim, ofSlugs, ofFreeKeys } = CLAIM[locks];
  const first = values.slugs ? ofSlugs : claim;
  const take = (lookedAt: number | null) =>
    transition(async () => (await first(db, { ...values, lookedAt }))[0], refuse);
  let found = await take(LOOKED_AT);
  if (found.is_cut_off && !values.slugs)
    found = await transition(async () => (await ofFreeKeys(db, values))[0], refuse);
  return found.is_cut_off ? take(null) : found;
}

async function refuse(): Promise<never> {
  throw workerNotFound();
}
