import { type Event, eventPage } from "../contract/event-record.ts";
import * as queries from "../contract/queries.ts";
import type { EventHub } from "../events/event-hub.ts";
import type { Listener } from "../events/listener.ts";
import { type Position, parsePosition, positionText } from "../events/position.ts";
import { readEvents, readOldEvents } from "../events/read-events.ts";
import type { StreamCall, Streams } from "./open-streams.ts";
import { InvalidValue } from "./parse-request.ts";
import { READERS, type Route, route } from "./route.ts";
import type { EventStream } from "./sse-answer.ts";

const STREAM = "text/event-stream";
const MISSING =
  "Events behind your place are not there any more. Read anew what you follow; the stream goes on from now.";

/** `/api/runtime/events`: every audited change, as it happens. */
export function eventRoutes(hub: EventHub, streams: Streams): Route[] {
  const stream = streamFrom(hub, streams);
  return [
    route({
      name: "streamEvents",
      summary: "Follow every change as it happens",
      method: "get",
      path: "/api/runtime/events",
      access: READERS,
      query: queries.eventFilter,
      headers: ["Last-Event-ID"],
      answers: {
        200: {
          means:
            "The changes from now on, or behind `after` or `Last-Event-ID`. As JSON, 500 at most of those that are there.",
          json: eventPage,
          other: {
            "text/event-stream":
              "An event for each change, by the name of its type, with an `Event` as its data; `reset` where some are not there any more.",
          },
        },
      },
      handle: async ({ request, response, db, caller, query }) => {
        const { types, task_id, after: asked } = query();
        const wants = (event: Event) =>
          (types === undefined || types.has(event.type)) && (task_id === undefined || event.task_id === task_id);
        const last = positionOf(request.get("last-event-id") || asked);
        const isStream = request.get("accept") !== undefined && request.accepts(STREAM, "application/json") === STREAM;
        if (isStream) return await stream(wants, last, { response, db, caller });
        const { after, isKnown } = await hub.enter(last);
        const batch = await (last === undefined ? readEvents : readOldEvents)(db, after);
        const found = batch.events.map(({ event }) => event).filter(wants);
        response.json({ events: found, next: positionText(batch.until), reset: !isKnown || !batch.isKnown });
      },
    }),
  ];
}

/** Where a client left off. Throws InvalidValue. */
function positionOf(given: string | undefined): Position | undefined {
  if (given === undefined) return undefined;
  const position = parsePosition(given);
  if (!position) throw new InvalidValue("Last-Event-ID, or after, is not the id of an event of this stream.");
  return position;
}

/** Sends the events until the client goes away, its key is revoked, or the service stops. */
function streamFrom(hub: EventHub, streams: Streams) {
  return async (wants: (event: Event) => boolean, last: Position | undefined, call: StreamCall) => {
    hub.requirePlace();
    const { after, isKnown } = await hub.enter(last);
    let listener: Listener | undefined;
    const lastId = () => positionText(listener?.after ?? after);
    const follow = async (stream: EventStream, signal: AbortSignal) => {
      const take = (found: Event[]) =>
        stream.send(found.map((event) => ({ id: event.id, event: event.type, data: event })));
      const reset = (now: Position) =>
        stream.send([{ id: positionText(now), event: "reset", data: { reason: MISSING } }]);
      listener = { after, wants, take, reset, isFull: stream.isFull };
      if (!isKnown) reset(after);
      await hub.follow(listener, signal);
    };
    await streams.serve(call, follow, lastId);
  };
}
