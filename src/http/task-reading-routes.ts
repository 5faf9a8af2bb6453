import * as answers from "../contract/answers.ts";
import { auditRecord } from "../contract/audit-record.ts";
import { resultRecord } from "../contract/output-records.ts";
import * as queries from "../contract/queries.ts";
import { slimResultRecord, slimTaskRecord, wholeOrSlim } from "../contract/slim-records.ts";
import { taskRecord } from "../contract/task-record.ts";
import { explain } from "../queue/explain.ts";
import { getTask } from "../queue/get-task.ts";
import { historyOf } from "../queue/history.ts";
import { resultsOf } from "../queue/result-list.ts";
import { tasks } from "../queue/task-list.ts";
import { NO_TASK, pageOf } from "./answer-declarations.ts";
import { OUTCOME, type ResultAnswers } from "./await-result.ts";
import { READERS, type Route, route } from "./route.ts";
import { sendList } from "./send-list.ts";
import { sendTaskInput } from "./task-input.ts";

/**
 * `GET /api/runtime/llm-tasks` and what is below it: what callers, and workers, read of tasks. The routes that change tasks are in
 * `task-routes.ts`.
 */
export function taskReadingRoutes(results: ResultAnswers): Route[] {
  return [
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
      name: "getTaskInput",
      summary: "Read what a task brings besides its prompt",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/input/:name",
      access: ["work", "read", "submit"],
      limit: "worker calls",
      headers: ["X-Lease-Id"],
      answers: {
        200: {
          means: "The input; empty where the task has none of it.",
          other: { "text/plain": "Text as it is, anything else as JSON." },
        },
        404: "There is no such task, or no such input.",
      },
      handle: sendTaskInput,
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
