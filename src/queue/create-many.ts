import type { Caller } from "../caller.ts";
import type { CreateTask } from "../contract/create-task.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { faultOf } from "../db/faults.ts";
import { newId } from "../db/ids.ts";
import { Unavailable } from "../errors.ts";
import { type Creation, finishCreation, newTask } from "./create.ts";
import { creations } from "./create-statement.ts";
import { recordAfterCommit } from "./record-after-commit.ts";

export interface KeyedRequest {
  request: CreateTask;
  idempotencyKey: string | null;
}

/** Tasks are checked in groups of this size, between which the process serves other calls. */
const AT_A_TIME = 64;

/**
 * Creates a task from each of `sent`, as `createTask` does it, and gives the outcome of each, in their order. `check` makes a request of what was
 * sent, or throws. Beside the entries of the tasks, the audit gets one for the whole call. After a fault of the database, or an Unavailable of `check`,
 * no further group is created, and the rest has that as its outcome. Throws it where no task was created or found.
 */
export async function createTasks(
  db: Db,
  caller: Caller | undefined,
  sent: readonly unknown[],
  check: (task: unknown) => Promise<KeyedRequest>,
): Promise<PromiseSettledResult<Creation>[]> {
  const outcomes: PromiseSettledResult<Creation>[] = [];
  let fault: PromiseRejectedResult | undefined;
  for (let at = 0; at < sent.length && !fault; at += AT_A_TIME) {
    const checked = sent.slice(at, at + AT_A_TIME).map(check);
    outcomes.push(...(await createChecked(db, caller, await Promise.allSettled(checked))));
    fault = outcomes.find(isForNow);
  }
  if (fault) {
    if (!outcomes.some(({ status }) => status === "fulfilled")) throw fault.reason;
    outcomes.push(...new Array<PromiseRejectedResult>(sent.length - outcomes.length).fill(fault));
  }
  const created = outcomes.filter((each) => each.status === "fulfilled" && each.value.isNew).length;
  if (created > 0)
    await recordAfterCommit(db, caller, "creation of many tasks", () =>
      audit(db, {
        action: "tasks_created",
        entity_type: "llm_tasks",
        entity_id: newId(),
        actor: actorOf(caller, "api"),
        detail: `${created} of ${sent.length} tasks of one call`,
      }),
    );
  return outcomes;
}

/** True where the same request may succeed later: the database met a fault, or there was no room to check the request. */
const isForNow = (outcome: PromiseSettledResult<unknown>): outcome is PromiseRejectedResult =>
  outcome.status === "rejected" && (outcome.reason instanceof Unavailable || faultOf(outcome.reason) !== undefined);

async function createChecked(
  db: Db,
  caller: Caller | undefined,
  checked: PromiseSettledResult<KeyedRequest>[],
): Promise<PromiseSettledResult<Creation>[]> {
  const valid = checked.flatMap((each, place) =>
    each.status === "fulfilled"
      ? [{ place, task: newTask(caller, each.value.request, each.value.idempotencyKey) }]
      : [],
  );
  const tasks = valid.map(({ task }) => task);
  const rows = await creations.sendAll(db, tasks);
  const sentFrom = new Map(valid.map(({ place, task }, n) => [place, { task, row: rows[n] }]));
  return await Promise.allSettled(
    checked.map(async (each, place) => {
      if (each.status === "rejected") throw each.reason;
      const { task, row } = sentFrom.get(place) ?? {};
      if (!task || !row) throw new Error("A request of a batch got no verdict.");
      if (row.status === "rejected") throw row.reason;
      return await finishCreation(db, each.value.request, task, row.value);
    }),
  );
}
