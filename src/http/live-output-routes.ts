import { liveOutputAnswer } from "../contract/answers.ts";
import * as queries from "../contract/queries.ts";
import * as requests from "../contract/requests.ts";
import { NotFound } from "../errors.ts";
import { getTask } from "../queue/get-task.ts";
import type { LiveFollowers } from "../queue/live-followers.ts";
import { addLiveOutput, type Piece, readLiveOutput } from "../queue/live-output.ts";
import { NO_LEASE } from "./answer-declarations.ts";
import type { StreamCall, Streams } from "./open-streams.ts";
import { fencedBody, InvalidValue } from "./parse-request.ts";
import { requireOwnFence } from "./require-own-worker.ts";
import { READERS, type Route, route, WORKERS } from "./route.ts";

const PATH = "/api/runtime/llm-tasks/:id/stream";
const OFF = "Live output is off on this service (LIVE_OUTPUT=false).";

/** `/api/runtime/llm-tasks/:id/stream`: what a task prints while it runs. With `isOn` false, nothing is taken and nothing is there. */
export function liveOutputRoutes(followers: LiveFollowers, streams: Streams, isOn: boolean): Route[] {
  const requireOn = () => {
    if (!isOn) throw new NotFound(OFF);
  };
  const sendEvents = eventsFrom(followers, streams);
  return [
    route({
      name: "addLiveOutput",
      summary: "Add to what a task prints",
      method: "post",
      path: PATH,
      access: WORKERS,
      limit: "worker calls",
      form: "stream",
      schema: requests.liveOutputBody,
      headers: ["X-Lease-Id"],
      answers: { 204: "The piece is kept, or was before.", ...NO_LEASE },
      handle: async ({ request, response, db, caller, params, body }) => {
        requireOn();
        await addLiveOutput(db, params.id, body(await requireOwnFence(db, caller, params.id, fencedBody(request))));
        response.status(204).end();
      },
    }),
    route({
      name: "getLiveOutput",
      summary: "Read what a task prints",
      method: "get",
      path: PATH,
      access: READERS,
      query: queries.livePosition,
      headers: ["Last-Event-ID"],
      answers: {
        200: {
          means: "What there is behind the position.",
          json: liveOutputAnswer,
          other: {
            "text/event-stream":
              "An event `output` for each piece with its position as the id, and `end` when the task has ended.",
          },
        },
        404: "There is no such task, or live output is off.",
      },
      handle: async ({ request, response, db, caller, params, query }) => {
        requireOn();
        const { after } = query();
        const { id } = await getTask(db, params.id);
        if (request.accepts("application/json", "text/event-stream") === "text/event-stream")
          return await sendEvents(id, lastEventOf(request.get("last-event-id")) ?? after, { response, db, caller });
        const found = await readLiveOutput(db, { taskId: id, after });
        const { pieces = [], isOver = true } = found ?? {};
        response.json({ task_id: id, pieces, next: pieces.at(-1)?.position ?? after, is_over: isOver });
      },
    }),
  ];
}

/** Where a client left off. Throws InvalidValue. */
function lastEventOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (!/^\d{1,15}$/.test(header))
    throw new InvalidValue("The header Last-Event-ID is not the id of an event of this stream.");
  return Number(header);
}

/** Server-Sent Events: `output` for each piece, with its position as the id, and `end` when the task has ended. */
function eventsFrom(followers: LiveFollowers, streams: Streams) {
  return async (taskId: string, after: number, call: StreamCall): Promise<void> => {
    followers.requirePlace();
    await streams.serve(call, async (stream, signal) => {
      const take = (pieces: Piece[]) =>
        stream.send(pieces.map(({ position, ...data }) => ({ id: String(position), event: "output", data })));
      await followers.follow({ taskId, after, take, isFull: stream.isFull }, signal);
      // The task goes on when its follower was cut off, and `end` would not be true.
      if (!signal.aborted) stream.send([{ event: "end", data: {} }]);
    });
  };
}
