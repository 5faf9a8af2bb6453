/** What calls answer where that is more than a record, or a list of them. */
import { z } from "zod";
import { TASK_STATUSES } from "../db/statuses.ts";
import { cause } from "./causes.ts";
import { leaseRecord } from "./lease-record.ts";
import { artifactRecord, resultRecord } from "./output-records.ts";
import { count, flag, id, time, words, worker } from "./record-fields.ts";
import { limitsRecord, taskRecord, usageFigures } from "./task-record.ts";
import { workerRecord } from "./worker-record.ts";

export const taskWithResult = z
  .object({
    task: taskRecord,
    result: resultRecord.describe("With its output, where PostgreSQL holds that as text.").nullable(),
    artifact: artifactRecord.nullable(),
  })
  .meta({
    id: "TaskWithResult",
    description:
      "A task, and what came of it: both are null while it has not ended, and where its last lease brought none.",
  });

export const leaseGrant = z
  .object({
    lease: leaseRecord,
    worker: workerRecord.describe("Its `active_leases` are those before this one."),
  })
  .meta({ id: "LeaseGrant", description: "The new lease, and the worker that got it." });

export const leasedTask = z
  .object({
    task: taskRecord,
    lease: leaseRecord,
    resume_session: words(
      "The CLI session to go on with: of a task with `resume`, where the worker has the newest one of its context.",
    ).exactOptional(),
    limits_left: limitsRecord
      .describe("What earlier attempts have left of the task's limits; absent where it has none.")
      .exactOptional(),
    traceparent: words(
      "The trace context of this attempt, for what the worker itself traces; absent where the task belongs to no trace.",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-91d0c4e5f6a7b8c9-01",
    ).exactOptional(),
  })
  .meta({ id: "LeasedTask", description: "A task and the new lease under which a worker got it." });

export const claimed = z
  .object({ tasks: z.array(leasedTask).min(1).describe("The tasks, the oldest first.") })
  .meta({ id: "Claimed", description: "The tasks that a claim got." });

export const heartbeatAnswer = z
  .object({
    lease: leaseRecord,
    expires_at: time("When the lease is overdue, unless another heartbeat comes."),
    cancel: flag("The task is to be cancelled: the worker shall stop, and complete or release it."),
    drain: flag("The worker shall take no new work."),
    next_heartbeat_ms: count("When to send the next heartbeat, in milliseconds from now.", 10_000),
  })
  .meta({ id: "HeartbeatAnswer", description: "The renewed lease, and what the worker shall do." });

export const completed = z
  .object({ task: taskRecord, artifact: artifactRecord, result: resultRecord })
  .meta({ id: "Completed", description: "The task after its completion, and what was stored of it." });

export const uploaded = z
  .object({
    output_id: id("The id by which the completion names it."),
    size_bytes: count("How many bytes came.", 61),
    sha256: words("The SHA-256 of the bytes, in hexadecimal."),
  })
  .meta({ id: "Uploaded", description: "An output that was uploaded ahead of its completion." });

export const dispatched = z
  .object({
    dispatched: z.literal(true),
    task_id: id("The task."),
    worker_id: worker("The worker whose agent has begun."),
    lease_id: id("The lease under which it works."),
    execution: z
      .object({ ok: z.literal(true), started: z.literal(true) })
      .describe("What the agent has done: it has accepted the task, and begun."),
    already: z.literal(true).describe("It was dispatched before, under that lease.").exactOptional(),
  })
  .meta({ id: "Dispatched", description: "The agent has begun with the task." });

export const notDispatched = z
  .object({
    dispatched: z.literal(false),
    task_id: id("The task, which is queued again."),
    worker_id: worker("The worker whose agent refused."),
    error: words("What the agent said."),
  })
  .meta({ id: "NotDispatched", description: "The agent refused the task." });

const holder = z.object({
  worker_id: worker("Who holds the task."),
  lease_id: id("Under which lease."),
  since: time("When that began."),
  last_heartbeat: time("Its last heartbeat."),
  expires_at: time("When the lease ends, unless another heartbeat comes."),
});

const workerReasons = z.object({
  worker_id: worker("A worker."),
  reasons: z.array(z.string()).describe("Why it has not got the task; none: it could take it now."),
  because: z.array(cause).describe("These reasons as codes, in the same order, for programs."),
});

export const explanation = z
  .object({
    task_id: id("The task."),
    status: z.enum(TASK_STATUSES).describe("The task's state."),
    reason: words("Why it is in its state: one or two sentences for a person."),
    because: z.array(cause).describe("The reasons of the state as codes, for programs."),
    due_at: time("When it may be leased; null: that time has come.").nullable(),
    last_error: words("What was said when the last attempt ended without success.").nullable(),
    holder: holder.describe("Who holds it.").nullable(),
    workers: z.array(workerReasons).describe("Of a queued task: the first 200 workers by name."),
  })
  .meta({ id: "Explanation", description: "Why a task waits, which worker holds it, or what became of it." });

const piece = z.object({
  position: count("Grows with each piece, whichever attempt it is of.", 1),
  lease_id: id("The lease of the attempt."),
  at: time("When it came."),
  text: words("What was printed."),
});

export const liveOutputAnswer = z
  .object({
    task_id: id("The task."),
    pieces: z.array(piece).describe("100 at most."),
    next: count("The position to ask `after` next time.", 1),
    is_over: flag("The task has ended, and nothing more comes."),
  })
  .meta({ id: "LiveOutput", description: "What there is of a task's output behind a position." });

export const statsAnswer = z
  .object({
    as_of: time("The time of the counts: up to 2 s ago."),
    tasks: z
      .object({
        total: count("All tasks."),
        by_status: z
          .record(z.string(), z.int())
          .meta({ description: "Only states that occur.", examples: [{ queued: 3 }] }),
      })
      .describe("How many tasks there are."),
    leases: z
      .object({ total: count("All leases."), active: count("Those that hold a task now.") })
      .describe("How many leases there are."),
    workers: z
      .object({ total: count("All workers."), online: count("Those that are online.") })
      .describe("How many workers there are."),
  })
  .meta({ id: "Stats", description: "Counts of tasks, leases and workers." });

export const usageSum = z
  .object({ key: words("The day, the account, the agent, … that it is the sum of.", "2026-01-31"), ...usageFigures })
  .meta({ id: "UsageSum", description: "What attempts used under one value of a dimension." });

export const removed = z.object({ removed: z.literal(true), id: words("The worker's name.", "rpi") });

export const artifactAddress = z.object({
  url: words("Where anybody may read it.", "https://minio.example/bloom-artifacts/…"),
  expires_seconds: count("For how long, in seconds.", 3_600),
});
