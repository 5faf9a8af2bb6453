/** Where a piece of work belongs in a distributed trace, as the W3C Trace Context writes it in the header `traceparent`. */

export interface TraceContext {
  /** 32 and 16 digits of lower-case hexadecimal, not all 0. */
  traceId: string;
  spanId: string;
  /** False: the service that began the trace does not record it. */
  isSampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const TRACE_ID = /^(?!0+$)[0-9a-f]{32}$/;
const SPAN_ID = /^(?!0+$)[0-9a-f]{16}$/;
const SAMPLED = 1;

/** What the header says; undefined where there is none, or where it is malformed, and the specification has it ignored. */
export function parseTraceparent(header: string | null | undefined): TraceContext | undefined {
  const [, version = "ff", traceId = "", spanId = "", flags = "", more] = header?.match(TRACEPARENT) ?? [];
  // Only later versions than 00 may have further fields behind the flags.
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

export function traceparentOf({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${isSampled ? SAMPLED : 0}`;
}

/** The traceparent of a task that names its trace in its field `tracing`; undefined where the ids there are not of the W3C's form. */
export function traceparentFrom(tracing: { trace_id: string; parent_span_id?: string } | null): string | undefined {
  const { trace_id: traceId = "", parent_span_id: spanId = "" } = tracing ?? {};
  return TRACE_ID.test(traceId) && SPAN_ID.test(spanId)
    ? traceparentOf({ traceId, spanId, isSampled: true })
    : undefined;
}

/**
 * The id of the span of the work under a lease. Each instance gets the same span id from the lease's id, so the instance that ends the work
 * needs to know nothing of the instance that began it. The last 64 bits of a UUID are never all 0.
 */
export function spanIdOfLease(leaseId: string): string {
  return leaseId.replaceAll("-", "").slice(-16);
}
