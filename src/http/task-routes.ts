import { z } from "zod";
import * as answers from "../contract/answers.ts";
import * as creation from "../contract/create-task.ts";
import * as queries from "../contract/queries.ts";
import { auditRecord, resultRecord } from "../contract/records.ts";
import * as requests from "../contract/requests.ts";
import { invalidBody, refusal } from "../contract/service-answers.ts";
import { slimResultRecord, slimTaskRecord, wholeOrSlim } from "../contract/slim-records.ts";
import { taskRecord } from "../contract/task-record.ts";
import { cancelTask } from "../queue/cancel.ts";
import { type Dispatcher, NotDispatched } from "../queue/dispatch.ts";
import { explain } from "../queue/explain.ts";
import { historyOf, resultsOf } from "../queue/history.ts";
import { requeueTask } from "../queue/requeue.ts";
import { tasks } from "../queue/task-list.ts";
import { getTask } from "../queue/tasks.ts";
import type { Callbacks } from "../webhooks/callback.ts";
import { NO_TASK, pageOf } from "./answers.ts";
import { OUTCOME, type ResultAnswers } from "./await-result.ts";
import { CREATED, create, replay } from "./create-task.ts";
import { originOf } from "./redirect-to-https.ts";
import { type Access, ADMINS, READERS, type Route, route } from "./route.ts";
import { sendList } from "./send-list.ts";

const SUBMITTERS: Access = ["submit"];

/** `/api/runtime/llm-tasks`: what callers do with tasks: to create, look at, dispatch and end them. Agents call back at `publicUrl`, where that is set. */
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
      schema: creation.createTask,
      headers: ["Idempotency-Key", "Prefer"],
      answers: CREATED,
      handle: create(results, callbacks),
    }),
    route({
      name: "listTasks",
      summary: "List tasks",
      method: "get",
      path: "/api/runtime/llm-tasks",
      access: READERS,
      query: queries.taskFilter,
      answers: pageOf(wholeOrSlim(taskRecord, slimTaskRecord), "The tasks, newest first."),
      handle: ({ request, response, db, query }) => {
        const { limit, after, fields, ...filter } = query();
        return sendList(request, response, db, tasks(filter, fields), { limit, after });
      },
    }),
    route({
      name: "getTask",
      summary: "Read a task",
      method: "get",
      path: "/api/runtime/llm-tasks/:id",
      access: READERS,
      answers: { 200: { means: "The task.", json: taskRecord }, ...NO_TASK },
      handle: async ({ response, db, params }) => response.json(await getTask(db, params.id)),
    }),
    route({
      name: "getTaskResult",
      summary: "Wait for what comes of a task",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/result",
      access: READERS,
      query: queries.resultWait,
      answers: { ...OUTCOME, ...NO_TASK },
      handle: (call) => results.answer(call, call.params.id, call.query().wait_seconds),
    }),
    route({
      name: "replayTask",
      storesNewWork: true,
      summary: "Create a task from an old one",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/replay",
      access: SUBMITTERS,
      body: "long",
      schema: creation.replayTask,
      headers: ["Idempotency-Key", "Prefer"],
      description: "The request of the old task, with the fields in `changes` in place of its own.",
      answers: { ...CREATED, ...NO_TASK },
      handle: replay(results, callbacks),
    }),
    route({
      name: "requeueTask",
      summary: "Start a failed or dead task anew",
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
      schema: requests.dispatchTask,
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
        const runtimeUrl = publicUrl ?? originOf(request);
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
      schema: requests.cancelTask,
      answers: {
        200: { means: "A queued task is cancelled; a held one will be when its lease ends.", json: taskRecord },
        ...NO_TASK,
        409: "The task has ended.",
      },
      handle: async ({ response, db, caller, params, body }) =>
        response.json(await cancelTask(db, caller, params.id, body().reason)),
    }),
    route({
      name: "explainTask",
      summary: "Explain the state of a task",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/explain",
      access: READERS,
      answers: { 200: { means: "Why the task is in its state.", json: answers.explanation }, ...NO_TASK },
      handle: async ({ response, db, params }) => response.json(await explain(db, params.id)),
    }),
    route({
      name: "listResults",
      summary: "List the results of a task",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/results",
      access: READERS,
      query: queries.resultFilter,
      answers: {
        ...pageOf(wholeOrSlim(resultRecord, slimResultRecord), "What workers handed in, newest first."),
        ...NO_TASK,
      },
      handle: ({ request, response, db, params, query }) => {
        const { limit, after, fields, ...filter } = query();
        return sendList(request, response, db, resultsOf(db, params.id, filter, fields === "slim"), { limit, after });
      },
    }),
    route({
      name: "listHistory",
      summary: "List what happened to a task",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/history",
      access: READERS,
      query: queries.historyFilter,
      answers: { ...pageOf(auditRecord, "The audit entries of the task and its leases, oldest first."), ...NO_TASK },
      handle: ({ request, response, db, params, query }) => {
        const { limit, after, ...filter } = query();
        return sendList(request, response, db, historyOf(db, params.id, filter), { limit, after });
      },
    }),
  ];
}
