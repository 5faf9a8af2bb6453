/**
 * What clients may send, checked once, here. Fields that are columns take their types from the tables.
 * Unknown fields are dropped. Bounds are generous; docs/api.md states them.
 */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import { workers } from "../db/fleet-tables.ts";
import { headerValue } from "../setting-values.ts";
import { agentUrl, httpUrl, leaseId, optional, text, textOrEmpty, ttlSeconds, workerName } from "./request-fields.ts";

const share = z.number().min(0).max(1);
const note = text(1_000);
const fence =
  "The lease under which the worker has the task; without one, here or in `X-Lease-Id`, the task's current lease is meant.";
const reason = (what: string) => textOrEmpty(1_000).describe(`${what}: for the audit log and for people.`);
const lifetime = optional(ttlSeconds).describe(
  "How long the lease lives after each heartbeat, in seconds; usually 300, or the task's `timeout_sec` + 30 where that is longer.",
);

/** A share from 0 to 1, a short text, or both. */
const progress = z.union([
  share.transform((value) => ({ value, text: null })),
  note.transform((text) => ({ value: null, text })),
  z
    .object({
      value: optional(share).describe("The share that is done, from 0 to 1."),
      text: optional(note).describe("In the worker's words."),
    })
    .transform(({ value = null, text = null }) => ({ value, text })),
]);

/** The fence (lifecycle.md, invariant 7); without one the task's current lease is meant. */
export const heartbeatTaskBody = z.object({
  lease_id: optional(leaseId).describe(fence),
  progress: optional(progress).describe("How far the worker is: a share from 0 to 1, a text, or both."),
});

/** A piece of what a running task prints, with the worker's own number for it. */
export const liveOutputBody = z.object({
  lease_id: optional(leaseId).describe(fence),
  seq: z
    .int()
    .min(0)
    .max(2_147_483_647)
    .describe("The worker's own number of the piece, which grows; the same one again adds nothing."),
  text: text(65_536)
    .min(1)
    .meta({ description: "What was printed since the piece before.", examples: ["Thinking.\n"] }),
});

export const cancelTaskBody = z.object({ reason: reason("Why it is cancelled") });

/** A drain without `minutes` lasts until somebody resumes the worker. */
export const drainWorkerBody = z.object({
  reason: reason("Why it is drained"),
  minutes: optional(z.number().min(0).max(525_600)).describe(
    "For how long, in minutes; without it, until somebody resumes the worker.",
  ),
});

/** A worker says of itself that it can do no work for a while. */
export const restWorkerBody = z.object({
  reason: reason("Why it can do no work"),
  seconds: z
    .int()
    .min(1)
    .max(3_600)
    .meta({ description: "For how long, in seconds.", examples: [60] }),
});

/** `started`: the worker has begun, and gives it back because of a fault of its own. */
export const releaseTaskBody = z.object({
  lease_id: leaseId.meta({
    description: "The lease under which the worker has the task; it may also be sent as `X-Lease-Id`.",
    examples: ["0199a6f2-1c7b-7d3e-9a54-2f6b8c1d0e4a"],
  }),
  reason: reason("Why it is handed back"),
  started: optional(z.boolean()).describe(
    "True: the worker has begun with it, and cannot do it for a reason of its own. The attempt does not count.",
  ),
});

export const leaseTaskBody = z.object({
  worker_id: optional(text(128)).describe("Who shall have the task; without it, the best worker with room."),
  ttl_seconds: lifetime,
});

export const dispatchTaskBody = leaseTaskBody;

export const claimTasksBody = z.object({
  worker_id: text(128)
    .min(1)
    .meta({ description: "The worker that claims.", examples: ["rpi"] }),
  max_tasks: optional(z.int().min(1).max(32)).describe("How many tasks at most; 1 where it is not given."),
  wait_seconds: optional(z.number().min(0).max(25)).describe(
    "How long to wait for a task where there is none, in seconds; 0 where it is not given.",
  ),
  ttl_seconds: lifetime,
  agent_slugs: optional(z.array(text(256)).max(100)).describe("Only tasks for one of these agents."),
});

/** A field that is not sent keeps its value where the worker is known, and has its default for a new worker (queue/register-worker.ts). */
export const registerWorkerBody = createInsertSchema(workers, {
  status: (column) => optional(column).describe("`online` where a new worker does not say otherwise."),
  capabilities: optional(
    z.object({
      claude_cli: optional(z.boolean()).describe("It has a CLI, and the router may choose it; true for a new worker."),
      max_concurrency: optional(z.int().min(1).max(32)).describe(
        "How many tasks it may hold at the same time; 1 for a new worker.",
      ),
      labels: optional(z.array(text(128)).max(100)).describe("What tasks may require of it; none for a new worker."),
    }),
  ).describe("What it can do. A field in here that is not sent keeps its value too."),
  ip_addrs: optional(z.array(text(64)).max(64)).describe("The addresses of its machine."),
  agent_version: textOrEmpty(256).describe("The version of its program."),
  os_info: textOrEmpty(1_024).describe("Its operating system."),
  install_method: textOrEmpty(256).describe("How it was installed."),
  boot_id: textOrEmpty(256).describe(
    "Identifies the run of its process. Another one than before means a restart: what it held is queued again.",
  ),
  account: optional(workerName).describe(
    "The account at the LLM's provider that its CLI uses; its own name where none was ever sent.",
  ),
})
  .pick({
    status: true,
    capabilities: true,
    ip_addrs: true,
    agent_version: true,
    os_info: true,
    install_method: true,
    boot_id: true,
    account: true,
  })
  .extend({
    name: workerName.meta({ description: "The worker's name, which is its id.", examples: ["rpi"] }),
    url: optional(z.union([z.literal(""), agentUrl])).describe(
      "Where its agent is called: an http:// or https:// address without a query. Empty: it claims its work itself.",
    ),
  });

export const saveConfigBody = z.object({
  membridge_server_url: httpUrl.meta({ description: "Where Membridge is.", examples: ["http://127.0.0.1:8000"] }),
  admin_key: headerValue.max(4_096).meta({
    description: "Membridge's admin key, in 4,096 characters at most. No answer ever shows it.",
    examples: ["the-admin-key-of-membridge"],
  }),
});

/** Passed on as it is: Membridge itself says what is wrong with it. The name is checked because it goes into the audit log. */
export const selectLeadershipBody = z.looseObject({
  primary_node_id: text(256)
    .optional()
    .meta({ description: "The node that shall be the primary.", examples: ["rpi"] }),
});

export type LiveOutput = z.output<typeof liveOutputBody>;
export type LeaseTask = z.output<typeof leaseTaskBody>;
export type ReleaseTask = z.output<typeof releaseTaskBody>;
export type HeartbeatTask = z.output<typeof heartbeatTaskBody>;
export type DrainWorker = z.output<typeof drainWorkerBody>;
export type RestWorker = z.output<typeof restWorkerBody>;
export type DispatchTask = z.output<typeof dispatchTaskBody>;
export type ClaimTasks = z.output<typeof claimTasksBody>;
export type RegisterWorker = z.output<typeof registerWorkerBody>;
export type SaveConfig = z.output<typeof saveConfigBody>;
