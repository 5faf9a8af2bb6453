import type { Request, Response } from "express";
import { completeTask as completion } from "../contract/complete-task.ts";
import * as requests from "../contract/requests.ts";
import { type Completed, workerView } from "../contract/views.ts";
import { completeTask, requireCompletable } from "../queue/complete.ts";
import { heartbeat } from "../queue/heartbeat.ts";
import { leaseTask } from "../queue/lease.ts";
import { releaseTask } from "../queue/release.ts";
import type { WaitingRoom } from "../queue/waiting-room.ts";
import type { ArtifactStore } from "../storage/artifact-store.ts";
import { claim } from "./claim.ts";
import { clientGone } from "./client-gone.ts";
import { deliverGrant } from "./deliver-grant.ts";
import { fencedBody } from "./input.ts";
import { sendJson } from "./json.ts";
import type { KeyWatch } from "./key-watch.ts";
import { ownFence, ownLeaseId, requireOwnWorker } from "./own-work.ts";
import { sendPlain, wantsText } from "./plain-answer.ts";
import { type Route, route, WORKERS } from "./route.ts";
import { sendTaskInput } from "./task-input.ts";
import { upload } from "./upload.ts";

export interface WorkRouteDeps {
  store: ArtifactStore;
  waitingRoom: WaitingRoom;
  keyWatch: KeyWatch;
  /** The most bytes of an output that is uploaded. */
  outputBytes: number;
  /** From this used share of its allowance on, an account gets one task at a time (`completeTask`). */
  paceAt: number;
}

/** What a worker does for its work: it has a limit of its own (rate-limits.ts). */
const WORK = { access: WORKERS, limit: "worker calls" } as const;

/** `/api/runtime/llm-tasks`: what a worker does with tasks, from the claim to the completion. The busiest calls come first. */
export function workRoutes({ store, waitingRoom, keyWatch, outputBytes, paceAt }: WorkRouteDeps): Route[] {
  return [
    route({
      name: "heartbeatTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/heartbeat",
      ...WORK,
      plain: "heartbeat",
      schema: requests.heartbeatTask,
      handle: async ({ request, response, db, caller, params, body }) => {
        const fenced = await ownFence(db, caller, params.id, fencedBody(request));
        const pulse = await heartbeat(db, caller, params.id, body(fenced));
        if (!wantsText(request)) return sendJson(response, pulse);
        const { cancel, drain, next_heartbeat_ms } = pulse;
        const fields = { Cancel: cancel, Drain: drain, "Next-Heartbeat-Ms": next_heartbeat_ms };
        sendPlain(response, fields, "The lease is renewed.\n");
      },
    }),
    route({
      name: "claimTasks",
      method: "post",
      path: "/api/runtime/llm-tasks/claim",
      ...WORK,
      plain: "claim",
      schema: requests.claimTasks,
      handle: claim(waitingRoom, keyWatch),
    }),
    route({
      name: "completeTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/complete",
      ...WORK,
      body: "long",
      plain: "complete",
      schema: completion,
      handle: async ({ request, response, db, caller, params, body }) => {
        const fenced = await ownFence(db, caller, params.id, fencedBody(request));
        const valid = completion.safeParse(fenced.body ?? {}).data;
        // 404 and 409 come before 400 here (api.md).
        if (!valid) await requireCompletable(db, params.id, fenced.leaseId);
        const completed = await completeTask(db, caller, store, params.id, valid ?? body(fenced), { paceAt });
        sendCompletion(request, response, completed);
      },
    }),
    route({
      name: "leaseTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/lease",
      ...WORK,
      schema: requests.leaseTask,
      handle: async ({ response, db, caller, params, body }) => {
        const asked = body();
        requireOwnWorker(caller, asked.worker_id);
        const gone = clientGone(response);
        const { lease, worker } = await leaseTask(db, caller, params.id, asked);
        deliverGrant(db, caller, gone, [lease.id], () =>
          sendJson(response.status(201), { lease, worker: workerView(worker) }),
        );
      },
    }),
    route({
      name: "uploadOutput",
      method: "put",
      path: "/api/runtime/llm-tasks/:id/output",
      ...WORK,
      body: "raw",
      handle: upload(outputBytes),
    }),
    route({
      name: "getTaskInput",
      method: "get",
      path: "/api/runtime/llm-tasks/:id/input/:name",
      access: ["work", "read", "submit"],
      limit: "worker calls",
      handle: sendTaskInput,
    }),
    route({
      name: "releaseTask",
      method: "post",
      path: "/api/runtime/llm-tasks/:id/release",
      ...WORK,
      plain: "release",
      schema: requests.releaseTask,
      handle: async ({ request, response, db, caller, params, body }) => {
        const { leaseId, ...fenced } = fencedBody(request);
        const asked = body(fenced);
        await ownLeaseId(db, caller, params.id, leaseId);
        response.json(await releaseTask(db, caller, params.id, asked));
      },
    }),
  ];
}

function sendCompletion(request: Request, response: Response, completion: Completed): void {
  if (!wantsText(request)) {
    sendJson(response, completion);
    return;
  }
  const { task, artifact, result } = completion;
  const fields = {
    "Task-Status": task.status,
    "Artifact-Id": artifact.id,
    "Result-Id": result.id,
    "Result-Status": result.status,
    "Error-Kind": result.error_kind,
  };
  sendPlain(response, fields, `The result is kept; the task is ${task.status}.\n`);
}
