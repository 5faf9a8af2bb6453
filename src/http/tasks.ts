import { type Request, type Response, Router } from "express";
import * as queries from "../contract/queries.ts";
import * as requests from "../contract/requests.ts";
import { workerView } from "../contract/views.ts";
import { cancelTask } from "../queue/cancel.ts";
import { completeTask, requireCompletable } from "../queue/complete.ts";
import type { Completion } from "../queue/completion.ts";
import { type Dispatcher, NotDispatched } from "../queue/dispatch.ts";
import { explain } from "../queue/explain.ts";
import { heartbeat } from "../queue/heartbeat.ts";
import { historyOf, resultsOf } from "../queue/history.ts";
import { leaseTask } from "../queue/lease.ts";
import { releaseTask } from "../queue/release.ts";
import { requeueTask } from "../queue/requeue.ts";
import { getTask, tasks } from "../queue/tasks.ts";
import type { WaitingRoom } from "../queue/waiting-room.ts";
import type { ArtifactStore } from "../storage/artifact-store.ts";
import type { DbFor } from "./callers.ts";
import { claimRoute } from "./claim.ts";
import { createTaskRoute } from "./create-task.ts";
import { goneSignal } from "./gone.ts";
import { deliverGrant } from "./grants.ts";
import { originOf } from "./https.ts";
import { bodyOf, fencedBody, queryOf } from "./input.ts";
import { sendJson } from "./json.ts";
import { type BodyReader, shortBody } from "./json-body.ts";
import type { KeyWatch } from "./key-watch.ts";
import { sendList } from "./lists.ts";
import { ownFence, ownLeaseId, requireOwnWorker } from "./own-work.ts";
import { sendPlain, wantsText } from "./plain-answer.ts";
import { taskInputRoute } from "./task-input.ts";

export interface TaskRouteDeps {
  dbFor: DbFor;
  /** Reads the body of a call that carries a prompt or an output. */
  longBody: BodyReader;
  store: ArtifactStore;
  waitingRoom: WaitingRoom;
  keyWatch: KeyWatch;
  dispatcher: Dispatcher;
  publicUrl: string | undefined;
  /** From this used share of its allowance on, an account gets one task at a time (`completeTask`). */
  paceAt: number;
}

/** `/api/runtime/llm-tasks`: a task from its creation to its end. */
export function taskRoutes(deps: TaskRouteDeps): Router {
  const { dbFor, longBody, store, waitingRoom, keyWatch, dispatcher, publicUrl, paceAt } = deps;
  const router = Router();

  router.post("/", longBody, createTaskRoute(dbFor));

  router.post("/claim", shortBody, claimRoute(dbFor, waitingRoom, keyWatch));

  router.post("/:id/lease", shortBody, async (request, response) => {
    const body = bodyOf(requests.leaseTask, request);
    const db = dbFor(response);
    requireOwnWorker(db, body.worker_id);
    const gone = goneSignal(response);
    const { lease, worker } = await leaseTask(db, request.params.id, body);
    deliverGrant(db, gone, [lease.id], () => sendJson(response.status(201), { lease, worker: workerView(worker) }));
  });

  router.post("/:id/heartbeat", shortBody, async (request, response) => {
    const db = dbFor(response);
    const fenced = await ownFence(db, request.params.id, fencedBody(request));
    const pulse = await heartbeat(db, request.params.id, bodyOf(requests.heartbeatTask, fenced));
    if (!wantsText(request)) return sendJson(response, pulse);
    const { cancel, drain, next_heartbeat_ms } = pulse;
    const fields = { Cancel: cancel, Drain: drain, "Next-Heartbeat-Ms": next_heartbeat_ms };
    sendPlain(response, fields, "The lease is renewed.\n");
  });

  router.post("/:id/complete", longBody, async (request, response) => {
    const db = dbFor(response);
    const fenced = await ownFence(db, request.params.id, fencedBody(request));
    const valid = requests.completeTask.safeParse(fenced.body ?? {}).data;
    // 404 and 409 come before 400 here (api.md).
    if (!valid) await requireCompletable(db, request.params.id, fenced.leaseId);
    const body = valid ?? bodyOf(requests.completeTask, fenced);
    sendCompletion(request, response, await completeTask(db, store, request.params.id, body, { paceAt }));
  });

  router.get("/", async (request, response) => {
    const { status, ...page } = queryOf(queries.taskFilter, request);
    await sendList(request, response, dbFor(response), tasks(status), page);
  });

  router.get("/:id", async (request, response) => {
    response.json(await getTask(dbFor(response), request.params.id));
  });

  router.post("/:id/release", shortBody, async (request, response) => {
    const { leaseId, ...fenced } = fencedBody(request);
    const body = bodyOf(requests.releaseTask, fenced);
    const db = dbFor(response);
    await ownLeaseId(db, request.params.id, leaseId);
    response.json(await releaseTask(db, request.params.id, body));
  });

  router.post("/:id/requeue", shortBody, async (request, response) => {
    response.json(await requeueTask(dbFor(response), request.params.id));
  });

  router.post("/:id/dispatch", shortBody, async (request, response) => {
    const runtimeUrl = publicUrl ?? originOf(request);
    try {
      const asked = bodyOf(requests.dispatchTask, request);
      const begun = await dispatcher.dispatch(request.params.id, asked, runtimeUrl, dbFor(response));
      response.json({ dispatched: true, ...begun });
    } catch (error) {
      if (!(error instanceof NotDispatched)) throw error;
      const { taskId, workerId, message } = error;
      response.status(502).json({ dispatched: false, task_id: taskId, worker_id: workerId, error: message });
    }
  });

  router.post("/:id/cancel", shortBody, async (request, response) => {
    const { reason } = bodyOf(requests.cancelTask, request);
    response.json(await cancelTask(dbFor(response), request.params.id, reason));
  });

  router.get("/:id/input/:name", taskInputRoute(dbFor));

  router.get("/:id/explain", async (request, response) => {
    response.json(await explain(dbFor(response), request.params.id));
  });

  router.get("/:id/results", async (request, response) => {
    const page = queryOf(queries.plainPage, request);
    const db = dbFor(response);
    await sendList(request, response, db, resultsOf(db, request.params.id), page);
  });

  router.get("/:id/history", async (request, response) => {
    const page = queryOf(queries.plainPage, request);
    const db = dbFor(response);
    await sendList(request, response, db, historyOf(db, request.params.id), page);
  });

  return router;
}

function sendCompletion(request: Request, response: Response, completion: Completion): void {
  if (!wantsText(request)) {
    sendJson(response, completion);
    return;
  }
  const { task, artifact, result } = completion;
  const fields = { "Task-Status": task.status, "Artifact-Id": artifact.id, "Result-Id": result.id };
  sendPlain(response, fields, `The result is kept; the task is ${task.status}.\n`);
}
