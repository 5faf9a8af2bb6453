import * as creation from "../contract/create-task.ts";
import * as queries from "../contract/queries.ts";
import * as requests from "../contract/requests.ts";
import { cancelTask } from "../queue/cancel.ts";
import { type Dispatcher, NotDispatched } from "../queue/dispatch.ts";
import { explain } from "../queue/explain.ts";
import { historyOf, resultsOf } from "../queue/history.ts";
import { requeueTask } from "../queue/requeue.ts";
import { getTask, tasks } from "../queue/tasks.ts";
import type { ResultAnswers } from "./await-result.ts";
import { create, replay } from "./create-task.ts";
import { originOf } from "./https.ts";
import { sendList } from "./lists.ts";
import { type Access, ADMINS, READERS, type Route, route } from "./route.ts";

const SUBMITTERS: Access = ["submit"];

/** `/api/runtime/llm-tasks`: what callers do with tasks: to create, look at, dispatch and end them. Agents call back at `publicUrl`, where that is set. */
export function taskRoutes(dispatcher: Dispatcher, results: ResultAnswers, publicUrl: string | undefined): Route[] {
  return [
    route({
      name: "createTask",
      method: "post",
      path: "/api/runtime/llm-tasks",
      access: SUBMITTERS,
      body: "long",
      schema: creation.createTask,
      handle: create(results),
    }),
    route({
      name: "listTasks",
      method: "get",
      path: "/api/runtime/llm-tasks",
      access: READERS,
      query: queries.taskFilter,
      handle: ({ request, response, db, query }) => {
        const { status, ...page } = query();
        return sendList(request, response, db, tasks(status), page);
      },
    }),
    route({
      name: "getTask",
      method: "get",
      path: "/api/runtime/llm-tasks/:id",
      access: READERS,
      handle: async ({ response, db, params }) => response.json(await getTask(db, params.id)),
    }),
    route({
      name: "getTaskResult",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/result",
      access: READERS,
      query: queries.resultWait,
      handle: (call) => results.answer(call, call.params.id, call.query().wait_seconds),
    }),
    route({
      name: "replayTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/replay",
      access: SUBMITTERS,
      body: "long",
      schema: creation.replayTask,
      handle: replay(results),
    }),
    route({
      name: "requeueTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/requeue",
      access: ADMINS,
      handle: async ({ response, db, caller, params }) => response.json(await requeueTask(db, caller, params.id)),
    }),
    route({
      name: "dispatchTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/dispatch",
      access: ADMINS,
      schema: requests.dispatchTask,
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
      method: "post",
      path: "/api/runtime/llm-tasks/:id/cancel",
      access: ADMINS,
      schema: requests.cancelTask,
      handle: async ({ response, db, caller, params, body }) =>
        response.json(await cancelTask(db, caller, params.id, body().reason)),
    }),
    route({
      name: "explainTask",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/explain",
      access: READERS,
      handle: async ({ response, db, params }) => response.json(await explain(db, params.id)),
    }),
    route({
      name: "listResults",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/results",
      access: READERS,
      query: queries.plainPage,
      handle: ({ request, response, db, params, query }) =>
        sendList(request, response, db, resultsOf(db, params.id), query()),
    }),
    route({
      name: "listHistory",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/history",
      access: READERS,
      query: queries.plainPage,
      handle: ({ request, response, db, params, query }) =>
        sendList(request, response, db, historyOf(db, params.id), query()),
    }),
  ];
}
