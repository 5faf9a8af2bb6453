import type { z } from "zod";
import * as bulk from "../contract/bulk.ts";
import { createTask as creation, creationKey } from "../contract/create-task.ts";
import { Conflict } from "../errors.ts";
import { cancelTasks, replayTasks, requeueTasks } from "../queue/change-tasks.ts";
import { createTask } from "../queue/create.ts";
import { requireUsableSchema } from "./create-task.ts";
import { InvalidBody, InvalidValue, parseBody } from "./input.ts";
import { ADMINS, type Call, type Route, route } from "./route.ts";

const CHANGED = { 200: { means: "How many tasks were changed.", json: bulk.changedTasks } };

/** `/api/runtime/llm-tasks`: calls that create or change many tasks. */
export const bulkRoutes: Route[] = [
  route({
    name: "createTasks",
    summary: "Create up to 1,000 tasks",
    method: "post",
    path: "/api/runtime/llm-tasks/bulk",
    access: ["submit"],
    body: "long",
    schema: bulk.createTasks,
    answers: { 200: { means: "What became of each task, in their order.", json: bulk.createdTasks } },
    handle: async (call) => {
      const { request, response, body } = call;
      if (request.get("Idempotency-Key") !== undefined)
        throw new InvalidValue("Each task of a bulk has a key of its own: send it as idempotency_key in the task.");
      const results: Awaited<ReturnType<typeof verdictOn>>[] = [];
      for (const task of body().tasks) results.push(await verdictOn(call, task));
      const having = (...codes: number[]) => results.filter(({ code }) => codes.includes(code)).length;
      response.json({ created: having(201), repeated: having(200), refused: having(400, 409), results });
    },
  }),
  route({
    name: "cancelTasks",
    summary: "Cancel the tasks that match a filter",
    method: "post",
    path: "/api/runtime/llm-tasks/cancel",
    access: ADMINS,
    schema: bulk.cancelTasks,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await cancelTasks(db, caller, body())),
  }),
  route({
    name: "requeueTasks",
    summary: "Queue the failed and dead tasks that match a filter again",
    method: "post",
    path: "/api/runtime/llm-tasks/requeue",
    access: ADMINS,
    schema: bulk.requeueTasks,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await requeueTasks(db, caller, body())),
  }),
  route({
    name: "replayTasks",
    summary: "Create new tasks from those that match a filter",
    method: "post",
    path: "/api/runtime/llm-tasks/replay",
    access: ["submit"],
    body: "long",
    schema: bulk.replayTasks,
    answers: CHANGED,
    handle: async ({ response, db, caller, body }) => response.json(await replayTasks(db, caller, body())),
  }),
];

/** Creates the task as a call of its own would, and says with which status that would have been answered. */
async function verdictOn({ db, caller }: Pick<Call<string, z.ZodType, z.ZodObject>, "db" | "caller">, task: unknown) {
  try {
    const request = parseBody(creation, { body: task });
    const { idempotency_key } = parseBody(creationKey, { body: task });
    await requireUsableSchema(request);
    const created = await createTask(db, caller, request, idempotency_key);
    return { code: created.isNew ? 201 : 200, id: created.task.id, error: null };
  } catch (error) {
    if (error instanceof InvalidBody) return { code: 400, id: null, error: error.problems };
    if (error instanceof Conflict) return { code: 409, id: null, error: error.message };
    throw error;
  }
}
