import type { Request } from "express";
import type { z } from "zod";
import { taskWithResult } from "../contract/answers.ts";
import { hasEnded } from "../queue/fence.ts";
import type { ResultWaiters } from "../queue/result-waiters.ts";
import { getTaskWithResult } from "../queue/task-result.ts";
import type { Answers } from "./answer-declarations.ts";
import { refuseKey, WRONG_KEY } from "./auth.ts";
import { clientGone } from "./client-gone.ts";
import type { KeyWatch } from "./key-watch.ts";
import type { Call } from "./route.ts";
import { sendJson } from "./send-json.ts";

const LONGEST_WAIT_SECONDS = 25;

/** How long the request prefers to wait, in seconds, 25 at most, by its header `Prefer: wait=…` (RFC 7240); undefined where it does not say so. */
export function preferredWait(request: Request): number | undefined {
  const [, seconds] = request.get("prefer")?.match(/(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i) ?? [];
  return Number(seconds) > 0 ? Math.min(Number(seconds), LONGEST_WAIT_SECONDS) : undefined;
}

type WaitingCall = Pick<Call<string, z.ZodType, z.ZodObject>, "response" | "db" | "caller">;

/** What a call that waits for a task's end answers. */
export const OUTCOME: Answers = {
  200: { means: "The task has ended.", json: taskWithResult },
  202: { means: "It has not ended in that time: both the result and the artifact are null.", json: taskWithResult },
};

/** Answers calls that wait until a task has ended. */
export interface ResultAnswers {
  /** Unavailable: too many callers wait on this instance. */
  requirePlace(): void;
  /**
   * Answers 200 with the task, its result and its artifact as soon as the task has ended, and 202 with the task when that has not happened within
   * `waitSeconds`. A client whose key is revoked meanwhile is told 401. NotFound: no such task. Unavailable: too many callers wait, and the task
   * has not ended. `headers` belong to these answers, and not to a refusal.
   */
  answer(call: WaitingCall, taskId: string, waitSeconds: number, headers?: Record<string, string>): Promise<void>;
}

/** Answers that wait for a task's end by means of `waiters`. */
export function answersFrom(waiters: ResultWaiters, keyWatch: KeyWatch): ResultAnswers {
  return {
    requirePlace: () => waiters.requirePlace(),
    async answer({ response, db, caller }, taskId, waitSeconds, headers = {}) {
      const gone = clientGone(response);
      // The client may have gone away before this call: then nothing is read for it.
      if (response.closed) return;
      let outcome = await getTaskWithResult(db, taskId);
      if (!hasEnded(outcome.task) && waitSeconds > 0) {
        waiters.requirePlace();
        const { signal, revoked, forget } = keyWatch.watch(caller.key?.id, gone, waitSeconds * 1_000);
        await waiters.wait(taskId, signal).finally(forget);
        if (gone.aborted) return;
        if (revoked.aborted) return refuseKey(response, WRONG_KEY);
        outcome = await getTaskWithResult(db, taskId);
      }
      sendJson(response.status(hasEnded(outcome.task) ? 200 : 202).set(headers), outcome);
    },
  };
}
