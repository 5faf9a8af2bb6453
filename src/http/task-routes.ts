import { z } from "zod";
import * as answers from "../contract/answers.ts";
import * as creation from "../contract/create-task.ts";
import * as requests from "../contract/requests.ts";
import { invalidBody, refusal } from "../contract/service-answers.ts";
import { taskRecord } from "../contract/task-record.ts";
import { REQUEUEABLE_STATUSES } from "../db/statuses.ts";
import { cancelTask } from "../queue/cancel.ts";
import { type Dispatcher, NotDispatched } from "../queue/dispatch.ts";
import { requeueTask } from "../queue/requeue.ts";
import type { Callbacks } from "../webhooks/callback-rules.ts";
import { NO_TASK } from "./answer-declarations.ts";
import type { ResultAnswers } from "./await-result.ts";
import { CREATED, create, replay } from "./create-task.ts";
import { reachedAddress } from "./reached-address.ts";
import { type Access, ADMINS, type Route, route } from "./route.ts";

const SUBMITTERS: Access = ["submit"];

/**
 * `POST /api/runtime/llm-tasks` and what is below it: callers create, dispatch and end tasks. What they read of tasks is in `task-reading-routes.ts`.
 * Agents call back at `publicUrl`, where that is set.
 */
export function taskRoutes(
  dispatcher: Dispatcher,
  results: ResultAnswers,
  publicUrl: string | undefined,
  callbacks: Callbacks,
): Route[] {
  return [
    route({
      name: "createTask",
      storesNewWork: true,
      summary: "Create a task",
      method: "post",
      path: "/api/runtime/llm-tasks",
      access: SUBMITTERS,
      body: "long",
      schema: creation.createTaskBody,
      headers: ["Idempotency-Key", "Prefer"],
      answers: CREATED,
      handle: create(results, callbacks),
    }),
    route({
      name: "replayTask",
      storesNewWork: true,
      summary: "Create a task from an old one",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/replay",
      access: SUBMITTERS,
      body: "long",
      schema: creation.replayTaskBody,
      headers: ["Idempotency-Key", "Prefer"],
      description: "The request of the old task, with the fields in `changes` in place of its own.",
      answers: { ...CREATED, ...NO_TASK },
      handle: replay(results, callbacks),
    }),
    route({
      name: "requeueTask",
      summary: `Start a ${REQUEUEABLE_STATUSES.join(" or ")} task anew`,
      method: "post",
      path: "/api/runtime/llm-tasks/:id/requeue",
      access: ADMINS,
      answers: {
        200: { means: "The task, which is queued.", json: taskRecord },
        ...NO_TASK,
        409: "The task's state does not allow it, or its limits are used up.",
      },
      handle: async ({ response, db, caller, params }) => response.json(await requeueTask(db, caller, params.id)),
    }),
    route({
      name: "dispatchTask",
      summary: "Lease a task and have an agent execute it",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/dispatch",
      access: ADMINS,
      schema: requests.dispatchTaskBody,
      answers: {
        200: { means: "The agent has begun, or had begun before.", json: answers.dispatched },
        ...NO_TASK,
        400: { means: "The worker has no address, or the body is not valid.", json: z.union([refusal, invalidBody]) },
        409: {
          means: "The task is held by another worker, or cannot be leased now.",
          json: refusal,
          headers: ["Retry-After"],
        },
        502: { means: "The agent refused. The task is queued as before.", json: answers.notDispatched },
        503: { means: "No worker has room, or the named one gets no work.", json: refusal, headers: ["Retry-After"] },
      },
      handle: async ({ request, response, caller, params, body }) => {
        const runtimeUrl = publicUrl ?? reachedAddress(request);
        try {
          const begun = await dispatcher.dispatch(params.id, body(), runtimeUrl, caller);
          response.json({ dispatched: true, ...begun });
        } catch (error) {
          if (!(error instanceof NotDispatched)) throw error;
          const { taskId, workerId, message } = error;
          response.status(502).json({ dispatched: false, task_id: taskId, worker_id: workerId, error: message });
        }
      },
    }),
    route({
      name: "cancelTask",
      summary: "Cancel a task",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/cancel",
      access: ADMINS,
      schema: requests.cancelTaskBody,
      answers: {
        200: { means: "A queued task is cancelled; a held one will be when its lease ends.", json: taskRecord },
        ...NO_TASK,
        409: "The task has ended.",
      },
      handle: async ({ response, db, caller, params, body }) =>
        response.json(await cancelTask(db, caller, params.id, body().reason)),
    }),
  ];
}
