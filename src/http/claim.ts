import type { z } from "zod";
import type { LeasedTask } from "../contract/record-types.ts";
import type { claimTasksBody } from "../contract/requests.ts";
import { claimTasks } from "../queue/claim.ts";
import type { ClaimWaiters } from "../queue/claim-waiters.ts";
import { refuseKey, WRONG_KEY } from "./auth.ts";
import { headersOfGrant } from "./claimed-task-as-text.ts";
import { clientGone } from "./client-gone.ts";
import { deliverGrant } from "./deliver-grant.ts";
import type { KeyWatch } from "./key-watch.ts";
import { InvalidValue } from "./parse-request.ts";
import type { Call } from "./route.ts";
import { sendJson } from "./send-json.ts";
import { sendAsText, wantsText } from "./text-answer.ts";

/** What a claim that wants text is answered. */
export const GRANT_AS_TEXT = {
  "text/plain": "The prompt of one task; its fields are in headers `X-Bloom-…`, percent-encoded (docs/api.md).",
};

type ClaimCall = Call<string, typeof claimTasksBody, z.ZodObject>;

/**
 * `POST /api/runtime/llm-tasks/claim`: 200 with tasks, or 204 when none came within `wait_seconds`. A client that wants text gets one task: its
 * prompt as the body, its fields as headers. A client that has gone away before the whole answer was sent gets nothing: what it was just given
 * goes back to the queue. A client whose key is revoked while it waits is told 401.
 */
export function claim(claimWaiters: ClaimWaiters, keyWatch: KeyWatch) {
  return async ({ request, response, db, caller, body: read }: ClaimCall): Promise<void> => {
    const body = read();
    const asText = wantsText(request);
    if (asText && (body.max_tasks ?? 1) > 1)
      throw new InvalidValue("An answer in text/plain carries one task: leave max_tasks out, or accept JSON.");
    const gone = clientGone(response);
    let granted: LeasedTask[] = [];
    const keyId = caller.key?.id;
    let isFirst = true;
    let isRevoked = false;
    const attempt = async () => {
      // The key was checked when the call came, which may be long ago.
      isRevoked = !isFirst && (await keyWatch.isRevoked(keyId));
      isFirst = false;
      if (isRevoked || gone.aborted) return undefined;
      const claim = await claimTasks(db, caller, body);
      granted = claim.leased;
      return granted.length > 0 ? undefined : claim;
    };
    if (body.wait_seconds) {
      const { signal, revoked, forget } = keyWatch.watch(keyId, gone, body.wait_seconds * 1_000);
      const asking = { workerId: body.worker_id, slugs: body.agent_slugs ?? [] };
      await claimWaiters.wait(asking, signal, attempt).finally(forget);
      isRevoked ||= revoked.aborted;
    } else await attempt();

    if (granted.length === 0 && isRevoked) return refuseKey(response, WRONG_KEY);
    if (granted.length === 0) return void response.status(204).end();
    const [first] = granted;
    const leaseIds = granted.map(({ lease }) => lease.id);
    deliverGrant(db, caller, gone, leaseIds, () => {
      if (asText && first) sendAsText(response, headersOfGrant(first), first.task.prompt);
      else sendJson(response, { tasks: granted });
    });
  };
}
