/** Sends spans to a collector by OTLP over HTTP, as JSON. It is loaded only where a collector is set. */
import type { Logger } from "pino";
import { withDeadline } from "../abort-signals.ts";
import { createOutageLog } from "../outage-log.ts";
import { VERSION } from "../package-folder.ts";
import { newSpanId, newTraceId, type Span, type Tracer } from "./tracer.ts";

export interface Collector {
  /** Where traces are sent. */
  url: string;
  headers: Record<string, string>;
  serviceName: string;
  /** The share of the traces beginning in this service that is recorded, from 0 to 1. */
  sampledShare: number;
}

export interface Exporter {
  tracer: Tracer;
  /** Sends what waits, until there is nothing left or the collector cannot take it now. Two passes never run at once. Never rejects. */
  sendOnce(): Promise<void>;
  /** Sends what waits a last time, within 2 s. */
  stop(): Promise<void>;
}

const MOST_IN_ONE = 512;
/** How many spans may wait. Further spans are dropped, which bounds the memory while the collector is away. */
const MOST_WAITING = 2_048;
const ANSWER_WITHIN_MS = 5_000;
const LAST_WITHIN_MS = 2_000;
/** The statuses after which OTLP has the same spans sent again. */
const LATER = new Set([429, 502, 503, 504]);

export function openExporter({ url, headers, serviceName, sampledShare }: Collector, log: Logger): Exporter {
  const outage = createOutageLog(log, "sending traces to the collector");
  const resource = {
    attributes: attributesOf({ "service.name": serviceName, "service.version": VERSION, "process.pid": process.pid }),
  };
  const stopping = new AbortController();
  let waiting: Span[] = [];
  let sending: Promise<void> | undefined;

  async function send(spans: Span[]): Promise<"taken" | "refused" | "later"> {
    const scopeSpans = [{ scope: { name: "bloom-runtime" }, spans: spans.map(spanAsJson) }];
    const late = () => new Error(`no answer within ${ANSWER_WITHIN_MS} ms`);
    const status = await withDeadline(ANSWER_WITHIN_MS, late, stopping.signal, async (signal) => {
      const answer = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans }] }),
        // The headers may hold a key for this address, and for no other.
        redirect: "manual",
        signal,
      });
      await answer.body?.cancel();
      return answer.status;
    });
    if (status >= 200 && status < 300) return "taken";
    outage.failed(new Error(`the collector answered ${status}`));
    return LATER.has(status) ? "later" : "refused";
  }

  async function sendAll(): Promise<void> {
    let areAllTaken = true;
    while (waiting.length > 0) {
      const spans = waiting.slice(0, MOST_IN_ONE);
      try {
        const verdict = await send(spans);
        if (verdict === "later") return;
        areAllTaken &&= verdict === "taken";
      } catch (error) {
        return outage.failed(error);
      }
      waiting = waiting.slice(spans.length);
    }
    if (areAllTaken) outage.worked();
  }

  const exporter: Exporter = {
    tracer: {
      record(span) {
        if (!span.isSampled) return;
        if (waiting.length >= MOST_WAITING)
          return outage.failed(new Error(`${MOST_WAITING} spans wait, and more are dropped`));
        waiting.push(span);
        if (waiting.length === MOST_IN_ONE) void exporter.sendOnce();
      },
      begin: (parent) => ({
        traceId: parent?.traceId ?? newTraceId(),
        spanId: newSpanId(),
        isSampled: parent?.isSampled ?? Math.random() < sampledShare,
      }),
    },
    sendOnce() {
      sending ??= sendAll().finally(() => {
        sending = undefined;
      });
      return sending;
    },
    async stop() {
      const timer = setTimeout(() => stopping.abort(new Error("the service stops")), LAST_WITHIN_MS);
      await sending;
      await exporter.sendOnce();
      clearTimeout(timer);
      stopping.abort();
    },
  };
  return exporter;
}

/** A span as OTLP writes it in JSON. Numbers of 64 bits are texts there. */
function spanAsJson({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, fault }: Span) {
  return {
    traceId,
    spanId,
    ...(parentSpanId !== undefined && { parentSpanId }),
    name,
    kind,
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(endMs),
    attributes: attributesOf(attributes),
    status: fault === undefined ? {} : { code: 2, message: fault },
  };
}

const nanoseconds = (ms: number) => `${Math.round(ms)}000000`;

function attributesOf(attributes: Span["attributes"]) {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: attributeValue(value) }],
  );
}

function attributeValue(value: string | number | boolean) {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
