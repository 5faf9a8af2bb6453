/** The work of one worker on one task, from its lease to its end, as a span in the task's trace. */
import type { Task } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { parseTraceparent, spanIdOfLease, traceparentOf } from "../tracing/trace-context.ts";
import { SPAN_KIND } from "../tracing/tracer.ts";

/** An attempt that has ended. Times are in epoch milliseconds. */
export interface TracedAttempt {
  task: Pick<Task, "id" | "agent_slug" | "traceparent">;
  leaseId: string;
  workerId: string;
  startedAt: number;
  endedAt: number;
  /** What became of the task. */
  outcome: Task["status"];
  isFault: boolean;
}

/** Records the work as a span when its end is committed, if the service traces and the task belongs to a trace. */
export function traceAttempt(
  db: Db,
  { task, leaseId, workerId, startedAt, endedAt, outcome, isFault }: TracedAttempt,
): void {
  const { tracer } = db;
  const within = parseTraceparent(task.traceparent);
  if (!tracer || !within) return;
  const attributes = {
    "bloom.task": task.id,
    "bloom.lease": leaseId,
    "bloom.worker": workerId,
    "bloom.agent": task.agent_slug,
    "bloom.outcome": outcome,
  };
  const ids = { ...within, spanId: spanIdOfLease(leaseId), parentSpanId: within.spanId };
  const span = { ...ids, name: "run task", kind: SPAN_KIND.internal, startMs: startedAt, endMs: endedAt };
  // The worker's message may quote the task, which the collector has no need to know.
  const fault = isFault ? "The attempt came to nothing." : undefined;
  db.onCommit(() => tracer.record({ ...span, attributes, fault }));
}

/**
 * The traceparent for the worker's own spans. With a tracer it names the span of the worker's attempt. Without a tracer there is no such span, and
 * the worker gets the traceparent of the task. Undefined: the task belongs to no trace.
 */
export function traceparentOfAttempt(db: Db, { traceparent }: Pick<Task, "traceparent">, leaseId: string) {
  const within = parseTraceparent(traceparent);
  return within && traceparentOf(db.tracer ? { ...within, spanId: spanIdOfLease(leaseId) } : within);
}
