import type { z } from "zod";
import { completeTaskBody } from "../contract/complete-task.ts";
import { completeTask, requireCompletable } from "../queue/complete.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { fencedBody } from "./parse-request.ts";
import { continueTrace } from "./request-trace.ts";
import { requireOwnFence } from "./require-own-worker.ts";
import type { Call } from "./route.ts";
import { sendJson } from "./send-json.ts";
import { sendAsText, wantsText } from "./text-answer.ts";

/** How many characters of an error's message go into a header: in UTF-8, percent-encoded, that is 2,700 bytes at most. */
const LONGEST_MESSAGE = 300;

type CompleteCall = Call<"/:id", typeof completeTaskBody, z.ZodObject>;

/** `POST /api/runtime/llm-tasks/:id/complete`: 200 with the task, the artifact and the result. `paceAt` is as for `completeTask`. */
export function complete(store: OutputStorage, paceAt: number) {
  return async ({ request, response, db, caller, params, body }: CompleteCall): Promise<void> => {
    const fenced = await requireOwnFence(db, caller, params.id, fencedBody(request));
    const valid = completeTaskBody.safeParse(fenced.body ?? {}).data;
    // 404 and 409 come before 400 here (api.md).
    if (!valid) await requireCompletable(db, params.id, fenced.leaseId);
    const completed = await completeTask(db, caller, store, params.id, valid ?? body(fenced), { paceAt });
    continueTrace(response, completed.task, completed.result.lease_id);
    if (!wantsText(request)) return sendJson(response, completed);
    const { task, artifact, result } = completed;
    const fields = {
      "Task-Status": task.status,
      "Artifact-Id": artifact.id,
      "Result-Id": result.id,
      "Result-Status": result.status,
      "Error-Kind": result.error_kind,
      // The task has the message with its times as dates.
      "Error-Message": (task.last_error ?? result.error_message)?.slice(0, LONGEST_MESSAGE).toWellFormed(),
    };
    sendAsText(response, fields, `The result is kept; the task is ${task.status}.\n`);
  };
}
