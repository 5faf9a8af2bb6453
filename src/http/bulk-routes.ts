import type { Caller } from "../caller.ts";
import * as bulk from "../contract/bulk.ts";
import { createTaskBody, ignoredFields } from "../contract/create-task.ts";
import { creationKey } from "../contract/creation-fields.ts";
import { faultOf } from "../db/faults.ts";
import { REQUEUEABLE_STATUSES } from "../db/statuses.ts";
import { Refusal, Unavailable } from "../errors.ts";
import { openPlaces } from "../places.ts";
import { leftUntil } from "../queue/bulk-deadline.ts";
import { cancelTasks, replayTasks, requeueTasks } from "../queue/change-matching-tasks.ts";
import type { Creation } from "../queue/create.ts";
import { createTasks, type KeyedRequest } from "../queue/create-many.ts";
import type { Callbacks } from "../webhooks/callback-rules.ts";
import { beginningOf, requireUsable } from "./create-task.ts";
import { InvalidBody, InvalidValue, parseBody } from "./parse-request.ts";
import { ADMINS, type Route, route } from "./route.ts";

const CHANGED = { 200: { means: "How many tasks were changed.", json: bulk.changedTasks } };

/** `/api/runtime/llm-tasks`: calls that create or change many tasks. */
export const bulkRoutes = (callbacks: Callbacks): Route[] => [
  route({
    name: "createTasks",
    storesNewWork: true,
    summary: "Create up to 1,000 tasks",
    method: "post",
    path: "/api/runtime/llm-tasks/bulk",
    access: ["submit"],
    body: "long",
    schema: bulk.createTasksBody,
    answers: { 200: { means: "What became of each task, in their order.", json: bulk.createdTasks } },
    handle: async ({ request, response, db, caller, body }) => {
      if (request.get("Idempotency-Key") !== undefined)
        throw new InvalidValue("Each task of a bulk has a key of its own: send it as idempotency_key in the task.");
      const sent = body().tasks;
      const outcomes = await createTasks(db, caller, sent, checkOfTasks(caller, callbacks));
      const results = outcomes.map((outcome, n) => ({ ...verdictOf(outcome), ignored: ignoredIn(sent[n]) }));
      const having = (from: number, to = from) => results.filter(({ code }) => code >= from && code <= to).length;
      response.json({ created: having(201), repeated: having(200), refused: having(400, 499), results });
    },
  }),
  route({
    name: "cancelTasks",
    summary: "Cancel the tasks that match a filter",
    method: "post",
    path: "/api/runtime/llm-tasks/cancel",
    access: ADMINS,
    schema: bulk.cancelTasksBody,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await cancelTasks(db, caller, body())),
  }),
  route({
    name: "requeueTasks",
    summary: `Queue the ${REQUEUEABLE_STATUSES.join(" and ")} tasks that match a filter again`,
    method: "post",
    path: "/api/runtime/llm-tasks/requeue",
    access: ADMINS,
    schema: bulk.requeueTasksBody,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await requeueTasks(db, caller, body())),
  }),
  route({
    name: "replayTasks",
    storesNewWork: true,
    summary: "Create new tasks from those that match a filter",
    method: "post",
    path: "/api/runtime/llm-tasks/replay",
    access: ["submit"],
    body: "long",
    schema: bulk.replayTasksBody,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await replayTasks(db, caller, body(), callbacks)),
  }),
];

/**
 * Makes the check of one call's tasks, each of which is checked as in a call of its own. Their schemas are checked one after the other: with more than
 * 20 at a time, the rest would be refused. InvalidBody: the task is not valid. Unavailable: its schema was not checked by the process's time `endAt`.
 */
function checkOfTasks(caller: Caller | undefined, callbacks: Callbacks) {
  const schemas = openPlaces(1, Number.POSITIVE_INFINITY, () => new Unavailable(SLOW_SCHEMAS));
  return async (task: unknown, endAt: number): Promise<KeyedRequest> => {
    const request = parseBody(createTaskBody, task);
    const { idempotency_key } = parseBody(creationKey, task);
    const leave = await schemas.take(leftUntil(endAt));
    await requireUsable(request, caller, callbacks, leftUntil(endAt)).finally(leave);
    return { request, idempotencyKey: idempotency_key ?? null };
  };
}

const SLOW_SCHEMAS =
  "The output schemas of this call take too long to check. Nothing more was created; send the rest again.";

const MOST_IGNORED = 20;

/** The first 20 names of a sent task's fields that no creation has, 100 characters of each. */
const ignoredIn = (sent: unknown): string[] => ignoredFields(sent).slice(0, MOST_IGNORED).map(beginningOf);

/**
 * The status and the error of the answer that the task would have had in a call for it alone. Throws an error that is no refusal of the task.
 */
function verdictOf(outcome: PromiseSettledResult<Creation>) {
  if (outcome.status === "fulfilled") {
    const { isNew, task } = outcome.value;
    return { code: isNew ? 201 : 200, id: task.id, error: null };
  }
  const { reason } = outcome;
  if (reason instanceof InvalidBody) return { code: 400, id: null, error: reason.problems };
  if (reason instanceof Refusal) return { code: reason.status, id: null, error: reason.message };
  const fault = faultOf(reason);
  if (fault) return { code: fault.status, id: null, error: fault.sentence };
  throw reason;
}
