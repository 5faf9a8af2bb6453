import { startReceiver } from "./webhook-receiver.ts";

/** A span as it arrived, with its attributes as plain values. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startMs: number;
  endMs: number;
  attributes: Record<string, unknown>;
  isFault: boolean;
}

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string; boolValue?: boolean };
}
/** A span as it travels. */
type Sent = Omit<ReceivedSpan, "startMs" | "endMs" | "attributes" | "isFault"> & {
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  status: { code?: number };
};

/** A collector of traces, which takes OTLP in JSON. It is closed when the test file is done. */
export async function startCollector() {
  const receiver = await startReceiver();
  return {
    receiver,
    url: new URL(receiver.url).origin,
    /** The spans of all requests, in their order. */
    spans: (): ReceivedSpan[] => receiver.received.flatMap(({ body }) => spansOf(body)),
  };
}

/** The attributes of what a request says that its spans come from. */
export const resourceOf = (body: string) => plain(JSON.parse(body).resourceSpans[0].resource.attributes);

function spansOf(body: string): ReceivedSpan[] {
  const { resourceSpans }: { resourceSpans: { scopeSpans: { spans: Sent[] }[] }[] } = JSON.parse(body);
  const sent = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
  return sent.map(({ startTimeUnixNano, endTimeUnixNano, status, attributes, ...span }) => ({
    ...span,
    startMs: Number(BigInt(startTimeUnixNano) / 1_000_000n),
    endMs: Number(BigInt(endTimeUnixNano) / 1_000_000n),
    attributes: plain(attributes),
    isFault: status.code === 2,
  }));
}

function plain(attributes: Attribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, boolValue } }) => [
      key,
      stringValue ?? boolValue ?? Number(intValue),
    ]),
  );
}
