import type { CompleteTask } from "../contract/complete-task.ts";
import type { Db } from "../db/client.ts";
import { limitAccount } from "../fleet/account-limits.ts";
import { recordTaskFailure } from "../fleet/quick-failures.ts";
import { recordTrouble } from "../fleet/rest-after-trouble.ts";
import { restUntilRegistered } from "../fleet/start-rest.ts";
import { lastErrorOf, ruleFor } from "./outcome.ts";

/**
 * Records what a failed attempt says of its worker and its account, by the rule for its kind (outcome.ts). Locks the account and then the worker,
 * after the task.
 */
export async function recordFailedAttempt(
  db: Db,
  request: CompleteTask,
  workerId: string,
  leaseId: string,
): Promise<void> {
  const { error_kind: kind, resets_at, retry_after_ms } = request;
  if (kind === null) return await recordTaskFailure(db, leaseId);
  const message = lastErrorOf(request) ?? kind;
  switch (ruleFor(kind).rest) {
    case "account":
      return await limitAccount(db, workerId, { resets_at, retry_after_ms }, message);
    case "worker":
      return await restUntilRegistered(db, workerId, "auth", message);
    case "cli":
      return await restUntilRegistered(db, workerId, "no_cli", message);
    case "after three":
      return await recordTrouble(db, leaseId, kind);
    case undefined:
  }
}
