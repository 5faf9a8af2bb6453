import { setImmediate as nextTurn } from "node:timers/promises";
import type { Caller } from "../caller.ts";
import type { CreateTask } from "../contract/create-task.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { newId } from "../db/ids.ts";
import { Unavailable } from "../errors.ts";
import { openPlaces } from "../places.ts";
import { bulkDeadline, leftUntil } from "./bulk-deadline.ts";
import { type Creation, finishCreation, newTask } from "./create.ts";
import { creations } from "./create-statement.ts";
import { runOrLog } from "./run-or-log.ts";
import { isWorthSendingAgain } from "./worth-sending-again.ts";

export interface KeyedRequest {
  request: CreateTask;
  idempotencyKey: string | null;
}

/** Tasks are checked and created in groups of this size at most. */
const AT_A_TIME = 64;
/**
 * One call at a time checks its tasks, for this long; then the process serves other calls. Otherwise 40 calls with 95 wrong tasks each held all
 * others up for 9 s.
 */
const CHECKED_FOR_MS = 15;
const checkPlaces = openPlaces(
  1,
  Number.POSITIVE_INFINITY,
  () =>
    new Unavailable(
      "Too many tasks of other calls are being checked now. Nothing more was created; try again shortly.",
    ),
);
/** How long the audit entry of the whole call may take when the call's own time is over. */
const RECORDED_WITHIN_MS = 2_000;

/**
 * Creates a task from each of `sent`, as `createTask` does it, and gives the outcome of each, in their order. `check` makes a request of what
 * was sent, or throws; it has to be done by the process's time that it is given. Beside the entries of the tasks, the audit gets one for the
 * whole call. After a fault of the database, an Unavailable of `check`, or 20 s, no further group is created, and the rest has that as its
 * outcome. Throws it where no task was created or found.
 */
export async function createTasks(
  db: Db,
  caller: Caller | undefined,
  sent: readonly unknown[],
  check: (task: unknown, endAt: number) => Promise<KeyedRequest>,
): Promise<PromiseSettledResult<Creation>[]> {
  const endAt = bulkDeadline();
  const inTime = db.endingAt(endAt);
  const outcomes: PromiseSettledResult<Creation>[] = [];
  let fault: PromiseRejectedResult | undefined;
  while (outcomes.length < sent.length && !fault) {
    const group = sent.slice(outcomes.length, outcomes.length + AT_A_TIME);
    // The checks may take half of the time that is left, so that the checked tasks can be created in the rest.
    const checkedBy = performance.now() + leftUntil(endAt) / 2;
    const checked = await checkInTurn(group, check, checkedBy).catch(rejectedWith);
    outcomes.push(...(await createChecked(inTime, caller, checked)));
    fault = outcomes.find(isFault);
  }
  if (fault) {
    if (!outcomes.some(({ status }) => status === "fulfilled")) throw fault.reason;
    outcomes.push(...new Array<PromiseRejectedResult>(sent.length - outcomes.length).fill(fault));
  }
  const created = outcomes.filter((each) => each.status === "fulfilled" && each.value.isNew).length;
  if (created > 0)
    await runOrLog(db, caller, "creation of many tasks", () =>
      audit(db.endingAt(Math.max(endAt, performance.now() + RECORDED_WITHIN_MS)), {
        action: "tasks_created",
        entity_type: "llm_tasks",
        entity_id: newId(),
        actor: actorOf(caller, "api"),
        detail: `${created} of ${sent.length} tasks of one call`,
      }),
    );
  return outcomes;
}

/** The outcome of the first task of a group that was not checked at all. */
const rejectedWith = (reason: unknown): PromiseRejectedResult[] => [{ status: "rejected", reason }];
const isFault = (outcome: PromiseSettledResult<unknown>): outcome is PromiseRejectedResult =>
  outcome.status === "rejected" && isWorthSendingAgain(outcome.reason);

/**
 * Waits for a place, then checks the first of the tasks: those that can be begun in 15 ms, one at least. The place is given back in the next turn of
 * the event loop. Unavailable: there was no place by `endAt`.
 */
async function checkInTurn<Checked>(
  tasks: readonly unknown[],
  check: (task: unknown, endAt: number) => Promise<Checked>,
  endAt: number,
): Promise<PromiseSettledResult<Checked>[]> {
  const leave = await checkPlaces.take(leftUntil(endAt));
  const until = performance.now() + CHECKED_FOR_MS;
  const begun: Promise<Checked>[] = [];
  for (const task of tasks) {
    begun.push(check(task, endAt));
    if (performance.now() > until) break;
  }
  const checked = Promise.allSettled(begun);
  await nextTurn();
  leave();
  return await checked;
}

async function createChecked(
  db: Db,
  caller: Caller | undefined,
  checked: PromiseSettledResult<KeyedRequest>[],
): Promise<PromiseSettledResult<Creation>[]> {
  const valid = checked.flatMap((each, index) =>
    each.status === "fulfilled"
      ? [{ index, task: newTask(caller, each.value.request, each.value.idempotencyKey) }]
      : [],
  );
  const tasks = valid.map(({ task }) => task);
  const rows = await creations.sendAll(db, tasks);
  const sentFrom = new Map(valid.map(({ index, task }, n) => [index, { task, row: rows[n] }]));
  return await Promise.allSettled(
    checked.map(async (each, index) => {
      if (each.status === "rejected") throw each.reason;
      const { task, row } = sentFrom.get(index) ?? {};
      if (!task || !row) throw new Error("A request of a batch got no verdict.");
      if (row.status === "rejected") throw row.reason;
      return await finishCreation(db, each.value.request, task, row.value);
    }),
  );
}
