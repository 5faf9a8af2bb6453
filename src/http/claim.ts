import { AsyncResource } from "node:async_hooks";
import type { RequestHandler } from "express";
import * as requests from "../contract/requests.ts";
import type { Db } from "../db/client.ts";
import { claimTasks } from "../queue/claim.ts";
import type { Granted } from "../queue/grant.ts";
import { releaseTask } from "../queue/release.ts";
import type { WaitingRoom } from "../queue/waiting-room.ts";
import { goneSignal } from "./gone.ts";
import { bodyOf } from "./input.ts";
import { sendJson } from "./json.ts";
import { requireOwnWorker } from "./own-work.ts";

/**
 * `POST /api/runtime/llm-tasks/claim`: 200 with tasks, or 204 when none came within `wait_seconds`. A client that has gone away while it
 * waited gets nothing: what it was just given goes back to the queue.
 */
export function claimRoute(db: Db, waitingRoom: WaitingRoom): RequestHandler {
  return async (request, response) => {
    const body = bodyOf(requests.claimTasks, request);
    requireOwnWorker(body.worker_id);
    const gone = goneSignal(response);
    let granted = await claimTasks(db, body);
    if (granted.length === 0 && body.wait_seconds) {
      const ended = AbortSignal.any([gone, AbortSignal.timeout(body.wait_seconds * 1_000)]);
      const attempt = async () => {
        if (!gone.aborted) granted = await claimTasks(db, body);
        return granted.length > 0;
      };
      // Whoever rings the room, it is this request that claims.
      await waitingRoom.wait(body.worker_id, ended, AsyncResource.bind(attempt));
    }
    if (gone.aborted) await giveBack(db, granted);
    else if (granted.length === 0) response.status(204).end();
    else sendJson(response, { tasks: granted });
  };
}

async function giveBack(db: Db, granted: Granted[]): Promise<void> {
  for (const { task, lease } of granted)
    await releaseTask(db, task.id, { lease_id: lease.id, reason: "the client that claimed it has gone away" });
}
