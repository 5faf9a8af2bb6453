/** What is traced, for those who record it and those who send it on. Only a service with a collector has a tracer. */
import { randomBytes } from "node:crypto";
import { messageOf } from "../errors.ts";
import { parseTraceparent, type TraceContext, traceparentOf } from "./trace-context.ts";

/** The kinds of spans, with the numbers that OTLP gives them. */
export const SPAN_KIND = { internal: 1, server: 2, client: 3 } as const;

/** A piece of work that has ended. */
export interface Span extends TraceContext {
  /** The span that this one belongs to; undefined for the first of a trace. */
  parentSpanId: string | undefined;
  name: string;
  kind: (typeof SPAN_KIND)[keyof typeof SPAN_KIND];
  /** In epoch milliseconds. */
  startMs: number;
  endMs: number;
  /** An undefined one is left out. */
  attributes: Record<string, string | number | boolean | undefined>;
  /** Why the work failed; undefined where it did not. */
  fault?: string | undefined;
}

export interface Tracer {
  /** Keeps the span until it is sent. A span of a trace that is not sampled is dropped. */
  record(span: Span): void;
  /** The context of a new span within `parent`, or of the first span of a new trace. */
  begin(parent: TraceContext | undefined): TraceContext;
}

export const newSpanId = (): string => newId(8);
export const newTraceId = (): string => newId(16);

function newId(bytes: number): string {
  const id = randomBytes(bytes).toString("hex");
  // The specification has no id of zeros alone.
  return /[1-9a-f]/.test(id) ? id : newId(bytes);
}

/**
 * Makes a call to another service, and records it as a span within `parent`. `call` gets the traceparent to send along: that of the span, or
 * `parent` itself where nothing is recorded. Throws what `call` throws.
 */
export async function traceCall<T>(
  tracer: Tracer | undefined,
  parent: string | undefined,
  facts: Pick<Span, "name" | "attributes">,
  call: (traceparent: string | undefined) => Promise<T>,
): Promise<T> {
  const within = parseTraceparent(parent);
  if (!tracer || !within) return await call(parent);
  const context = tracer.begin(within);
  const startMs = Date.now();
  let fault: string | undefined;
  try {
    return await call(traceparentOf(context));
  } catch (error) {
    fault = messageOf(error);
    throw error;
  } finally {
    const span = { ...facts, ...context, kind: SPAN_KIND.client, startMs, endMs: Date.now(), fault };
    tracer.record({ ...span, parentSpanId: within.spanId });
  }
}
