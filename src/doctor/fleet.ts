/** What can be said of the workers, and of tasks that none of them can take. */
import { asc, desc, sql } from "drizzle-orm";
import type { Db } from "../db/client.ts";
import { databaseTime } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import type { Drain } from "../db/json-types.ts";
import { isDrained } from "../fleet/matching.ts";
import { ownRest, restInWords } from "../fleet/worker-rest.ts";
import { isoTime } from "../format-iso-time.ts";
import { explain } from "../queue/explain.ts";
import { findLongestWaiting, findUntakeable } from "../queue/overview.ts";
import { type Finding, note, timeOf, wrong } from "./finding.ts";

/** The most workers that are named. */
const MOST_WORKERS = 5;
const NOBODY_WORKS_MS = 60_000;
/** A rest of a worker after failures takes 5 min at most, and ends by itself. */
const SOON_MS = 10 * 60_000;

/**
 * True in SQL for a rest that ends when somebody has mended something on the worker's machine: its CLI has no access or is not there, or the worker
 * said so itself and ended.
 */
const isToBeMended = sql<boolean>`(${ownRest} is not null
  and (${workers.rest} ->> 'until' is null or (${workers.status} = 'offline' and ${workers.rest} ->> 'kind' = 'worker')))`;

const sentence = (text: string) => text.replace(/[.\s]*$/, ".");

/**
 * Workers that are online and get no work, since they rest or somebody has drained them; and workers that are offline and said before why they can do
 * none. Where something has to be mended on the worker's machine, that is wrong, also when other workers are fine. What accounts rest for is said by
 * `checkQueue`.
 */
export async function checkWorkers(db: Db): Promise<Finding[]> {
  const found = await db
    .select({
      id: workers.id,
      isOnline: sql<boolean>`${workers.status} = 'online'`,
      drain: sql<Drain | null>`case when ${isDrained} then ${workers.drain} end`,
      rest: ownRest,
      isToBeMended,
    })
    .from(workers)
    .where(
      sql`(${workers.status} = 'online' and ${isDrained}) or (${workers.status} in ('online', 'offline') and ${ownRest} is not null)`,
    )
    .orderBy(desc(isToBeMended), asc(workers.id))
    .limit(MOST_WORKERS + 1);
  const findings = found.slice(0, MOST_WORKERS).map(({ id, isOnline, drain, rest, isToBeMended }) => {
    const worker = `/api/runtime/workers/${encodeURIComponent(id)}`;
    const resume = `POST ${worker}/resume`;
    const finding = isToBeMended ? wrong : note;
    if (rest === null) {
      const until = drain?.until == null ? "" : ` until ${isoTime(drain.until)}`;
      return note(
        `Worker ${id} is drained${until}${drain?.reason ? `: ${sentence(drain.reason)}` : "."}`,
        `${resume} ends that.`,
      );
    }
    if (!isOnline)
      return finding(
        `Worker ${id} is offline. Before, it rested: ${sentence(rest.reason)}`,
        `Mend that on its machine, and start the worker anew; or forget the worker: DELETE ${worker}.`,
      );
    return finding(
      `Worker ${id} ${sentence(restInWords(rest))}`,
      rest.until === null
        ? `Mend that on its machine. Then start the worker anew, or call ${resume}.`
        : `${resume} ends that at once.`,
    );
  });
  if (found.length > MOST_WORKERS)
    findings.push(note("More workers rest or are drained.", "GET /api/runtime/workers names them all."));
  return findings;
}

/** Queued tasks with labels that no online worker has: nobody takes them, however long they wait. */
export async function checkLabels(db: Db): Promise<Finding[]> {
  const now = await databaseTime(db);
  const labelled = (await findUntakeable(db)).filter(
    ({ requires, drained }) => requires.length > 0 && drained.length === 0,
  );
  return labelled.map(({ requires, tasks, since }) =>
    note(
      `${tasks} task(s) wait for a worker with the label(s) ${requires.join(", ")}, the oldest for ${timeOf(now - since)}: none is online.`,
      "Start a worker with them (`--labels`), or cancel these tasks.",
    ),
  );
}

/**
 * Tasks that no worker can take now, though no label is missing, in the words of `explain`. That is wrong where all who could take them rest for
 * longer than SOON_MS, or until somebody does something. When no worker is online, `checkQueue` says that.
 */
export async function checkUntakeable(db: Db): Promise<Finding[]> {
  const [online] = await db.select({ id: workers.id }).from(workers).where(sql`${workers.status} = 'online'`).limit(1);
  if (!online) return [];
  const now = await databaseTime(db);
  const findings: Finding[] = [];
  for (const { tasks, example, since } of await findLongestWaiting(db)) {
    const { reason, because } = await explain(db, example);
    const has = (...codes: string[]) => because.some(({ code }) => codes.includes(code));
    if (!has("not_takeable") || has("worker_full", "labels_missing", "labels_scattered")) continue;
    const sentence = `${tasks} task(s) wait, the oldest for ${timeOf(now - since)} (${example}). ${reason}`;
    const mend = `GET /api/runtime/llm-tasks/${example}/explain says it of each worker.`;
    const rests = because.filter(({ code }) => code === "worker_rests" || code === "account_limited");
    const endsSoon = rests.some(({ until }) => until !== undefined && until - now <= SOON_MS);
    const isWrong = !endsSoon && (rests.length > 0 || now - since > NOBODY_WORKS_MS);
    findings.push(isWrong ? wrong(sentence, mend) : note(sentence, mend));
  }
  return findings;
}
