/**
 * What clients may send, checked once, here. Fields that are columns take their types from the tables.
 * Unknown fields are dropped. Bounds are generous; docs/api.md states them.
 */
import { createInsertSchema } from "drizzle-zod";
import { z } from "zod";
import { workers } from "../db/fleet-tables.ts";
import { headerValue } from "../setting-values.ts";
import { agentUrl, httpUrl, leaseId, optional, text, textOrEmpty, ttlSeconds, workerName } from "./fields.ts";

const share = z.number().min(0).max(1);
const note = text(1_000);

/** A share from 0 to 1, a short text, or both. */
const progress = z.union([
  share.transform((value) => ({ value, text: null })),
  note.transform((said) => ({ value: null, text: said })),
  z
    .object({ value: optional(share), text: optional(note) })
    .transform(({ value = null, text: said = null }) => ({ value, text: said })),
]);

/** The fence (lifecycle.md, invariant 7); without one the task's current lease is meant. */
export const heartbeatTask = z.object({ lease_id: optional(leaseId), progress: optional(progress) });

/** A piece of what a running task prints, with the worker's own number for it. */
export const liveOutput = z.object({
  lease_id: optional(leaseId),
  seq: z.int().min(0).max(2_147_483_647),
  text: text(65_536).min(1),
});

export const cancelTask = z.object({ reason: textOrEmpty(1_000) });

/** Without `minutes`, until somebody resumes the worker. */
export const drainWorker = z.object({
  reason: textOrEmpty(1_000),
  minutes: optional(z.number().min(0).max(525_600)),
});

/** A worker's own word that it can do no work for a while. */
export const restWorker = z.object({ reason: textOrEmpty(1_000), seconds: z.int().min(1).max(3_600) });

/** `started`: the worker has begun, and gives it back because of a fault of its own. */
export const releaseTask = z.object({
  lease_id: leaseId,
  reason: textOrEmpty(1_000),
  started: optional(z.boolean()),
});

export const leaseTask = z.object({ worker_id: optional(text(128)), ttl_seconds: optional(ttlSeconds) });

export const dispatchTask = leaseTask;

export const claimTasks = z.object({
  worker_id: text(128).min(1),
  max_tasks: optional(z.int().min(1).max(32)),
  wait_seconds: optional(z.number().min(0).max(25)),
  ttl_seconds: optional(ttlSeconds),
  agent_slugs: optional(z.array(text(256)).max(100)),
});

/** What is not sent keeps its value where the worker is known, and is the default of a new one else (queue/register-worker.ts). */
export const registerWorker = createInsertSchema(workers, {
  status: (column) => optional(column),
  capabilities: optional(
    z.object({
      claude_cli: optional(z.boolean()),
      max_concurrency: optional(z.int().min(1).max(32)),
      labels: optional(z.array(text(128)).max(100)),
    }),
  ),
  ip_addrs: optional(z.array(text(64)).max(64)),
  agent_version: textOrEmpty(256),
  os_info: textOrEmpty(1_024),
  install_method: textOrEmpty(256),
  boot_id: textOrEmpty(256),
  account: optional(workerName),
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
  .extend({ name: workerName, url: optional(z.union([z.literal(""), agentUrl])) });

export const saveConfig = z.object({
  membridge_server_url: httpUrl,
  admin_key: headerValue.max(4_096),
});

/** Passed on as it is: Membridge itself says what is wrong with it. The name is checked because it goes into the audit log. */
export const selectLeadership = z.looseObject({ primary_node_id: text(256).optional() });

export type LiveOutput = z.output<typeof liveOutput>;
export type LeaseTask = z.output<typeof leaseTask>;
export type ReleaseTask = z.output<typeof releaseTask>;
export type HeartbeatTask = z.output<typeof heartbeatTask>;
export type DrainWorker = z.output<typeof drainWorker>;
export type RestWorker = z.output<typeof restWorker>;
export type DispatchTask = z.output<typeof dispatchTask>;
export type ClaimTasks = z.output<typeof claimTasks>;
export type RegisterWorker = z.output<typeof registerWorker>;
export type SaveConfig = z.output<typeof saveConfig>;
