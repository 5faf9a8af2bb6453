/** The record of a lease. A column is published by being named here, and in no other way. */
import { z } from "zod";
import { LEASE_STATUSES } from "../db/statuses.ts";
import { count, id, time, words, worker } from "./record-fields.ts";

export const leaseRecord = z
  .object({
    id: id("The id of the lease: the fence that a worker sends with each call for the task."),
    task_id: id("The task that it holds."),
    worker_id: worker("The worker that it was given to."),
    started_at: time("When it began."),
    expires_at: time("When it is overdue, unless a heartbeat renews it."),
    ttl_seconds: count("How long it lives after each heartbeat, in seconds.", 300),
    status: z
      .enum(LEASE_STATUSES)
      .describe(
        "`active`, `expired` (overdue, or its worker is gone), `released` (completed or handed back); `failed` in rows of an earlier service.",
      ),
    last_heartbeat: time("The last heartbeat, or its begin."),
    context_id: words("The context of the task.", "garden").nullable(),
  })
  .meta({ id: "Lease", description: "The right of one worker to work on a task, for a limited time." });
