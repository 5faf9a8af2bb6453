import * as answers from "../contract/answers.ts";
import { completeTaskBody } from "../contract/complete-task.ts";
import { workerView } from "../contract/record-types.ts";
import * as requests from "../contract/requests.ts";
import { refusal } from "../contract/service-answers.ts";
import { taskRecord } from "../contract/task-record.ts";
import type { ClaimWaiters } from "../queue/claim-waiters.ts";
import { heartbeat } from "../queue/heartbeat.ts";
import { leaseTask } from "../queue/lease-task.ts";
import { releaseTask } from "../queue/release-task.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { asText, NO_LEASE, NO_TASK } from "./answer-declarations.ts";
import { claim, GRANT_AS_TEXT } from "./claim.ts";
import { clientGone } from "./client-gone.ts";
import { complete } from "./complete-task.ts";
import { deliverGrant } from "./deliver-grant.ts";
import type { KeyWatch } from "./key-watch.ts";
import { fencedBody } from "./parse-request.ts";
import { requireOwnFence, requireOwnLease } from "./require-own-worker.ts";
import { type Route, route, WORKERS } from "./route.ts";
import { sendJson } from "./send-json.ts";
import { sendAsText, wantsText } from "./text-answer.ts";
import { upload } from "./upload-output.ts";

export interface WorkRouteDeps {
  store: OutputStorage;
  claimWaiters: ClaimWaiters;
  keyWatch: KeyWatch;
  /** The most bytes of an output that is uploaded. */
  outputBytes: number;
  /** The used share of its allowance from which on an account gets one task at a time (`completeTask`). */
  paceAt: number;
}

/** What a worker does for its work: it has a limit of its own (rate-limits.ts). */
const WORK = { access: WORKERS, limit: "worker calls" } as const;

/** `/api/runtime/llm-tasks`: what a worker does with tasks, from the claim to the completion. The busiest calls come first. */
export function workRoutes({ store, claimWaiters, keyWatch, outputBytes, paceAt }: WorkRouteDeps): Route[] {
  return [
    route({
      name: "heartbeatTask",
      summary: "Renew a lease",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/heartbeat",
      ...WORK,
      form: "heartbeat",
      schema: requests.heartbeatTaskBody,
      headers: ["X-Lease-Id"],
      answers: {
        200: {
          means: "The lease is renewed, and the task is running.",
          json: answers.heartbeatAnswer,
          other: asText("Cancel, Drain, Next-Heartbeat-Ms"),
        },
        ...NO_LEASE,
      },
      handle: async ({ request, response, db, caller, params, body }) => {
        const fenced = await requireOwnFence(db, caller, params.id, fencedBody(request));
        const pulse = await heartbeat(db, caller, params.id, body(fenced));
        if (!wantsText(request)) return sendJson(response, pulse);
        const { cancel, drain, next_heartbeat_ms } = pulse;
        const fields = { Cancel: cancel, Drain: drain, "Next-Heartbeat-Ms": next_heartbeat_ms };
        sendAsText(response, fields, "The lease is renewed.\n");
      },
    }),
    route({
      name: "claimTasks",
      summary: "Claim tasks for a worker",
      method: "post",
      path: "/api/runtime/llm-tasks/claim",
      ...WORK,
      form: "claim",
      schema: requests.claimTasksBody,
      description:
        "The oldest tasks that the worker may have, up to `max_tasks` and 16 MB. Without any, the call waits for up to `wait_seconds`.",
      answers: {
        200: {
          means: "The worker has these tasks now, each under a lease.",
          json: answers.claimed,
          other: GRANT_AS_TEXT,
        },
        204: "No task came in time.",
        404: "The worker is not registered (any more).",
        409: { means: "The worker is drained, or it rests.", json: refusal, headers: ["Retry-After"] },
      },
      ofWorker: ({ body }) => body().worker_id,
      handle: claim(claimWaiters, keyWatch),
    }),
    route({
      name: "completeTask",
      summary: "Hand in the result of an attempt",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/complete",
      ...WORK,
      body: "long",
      form: "complete",
      schema: completeTaskBody,
      headers: ["X-Lease-Id"],
      description:
        "The same completion again gets the same answer. A success that comes too late is kept as an artifact, and answered 409.",
      answers: {
        200: {
          means: "The result is kept.",
          json: answers.completed,
          other: asText("Task-Status, Artifact-Id, Result-Id, Result-Status, Error-Kind, Error-Message"),
        },
        ...NO_LEASE,
      },
      handle: complete(store, paceAt),
    }),
    route({
      name: "leaseTask",
      summary: "Lease a task to a worker",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/lease",
      ...WORK,
      schema: requests.leaseTaskBody,
      description: "To `worker_id`, or to the best worker with room where none is named.",
      answers: {
        201: { means: "The worker has the task.", json: answers.leaseGrant },
        ...NO_TASK,
        409: {
          means: "The task is not queued, not due, or its concurrency key is held; or the worker rests.",
          json: refusal,
          headers: ["Retry-After"],
        },
        503: { means: "No worker has room, or the named one gets no work.", json: refusal, headers: ["Retry-After"] },
      },
      ofWorker: ({ body }) => body().worker_id,
      handle: async ({ response, db, caller, params, body }) => {
        const asked = body();
        const gone = clientGone(response);
        const { lease, worker } = await leaseTask(db, caller, params.id, asked);
        deliverGrant(db, caller, gone, [lease.id], () =>
          sendJson(response.status(201), { lease, worker: workerView(worker) }),
        );
      },
    }),
    route({
      name: "uploadOutput",
      storesNewWork: true,
      summary: "Upload an output ahead of its completion",
      method: "put",
      path: "/api/runtime/llm-tasks/:id/output",
      ...WORK,
      body: "raw",
      headers: ["X-Lease-Id"],
      description: "The bytes as they are, of any size up to `MAX_OUTPUT_MB`. The completion then names `output_id`.",
      answers: {
        201: { means: "The output is there.", json: answers.uploaded, other: asText("Output-Id, Size-Bytes, Sha256") },
        ...NO_LEASE,
        413: "The output is larger than `MAX_OUTPUT_MB`.",
        415: "The output came with a Content-Encoding.",
      },
      handle: upload(outputBytes),
    }),
    route({
      name: "releaseTask",
      summary: "Hand a task back",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/release",
      ...WORK,
      form: "release",
      schema: requests.releaseTaskBody,
      headers: ["X-Lease-Id"],
      description: "The attempt is given back.",
      answers: {
        200: { means: "The task, which is queued again, or cancelled where that was asked for.", json: taskRecord },
        ...NO_LEASE,
      },
      handle: async ({ request, response, db, caller, params, body }) => {
        const { leaseId, ...fenced } = fencedBody(request);
        const asked = body(fenced);
        await requireOwnLease(db, caller, params.id, leaseId);
        response.json(await releaseTask(db, caller, params.id, asked));
      },
    }),
  ];
}
