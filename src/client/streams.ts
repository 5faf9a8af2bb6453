/** What the runtime tells as it happens, as async iterators that come again by themselves, and go on where they left off. */

import { NoAnswer, Refused, type Sent } from "./call.ts";
import { fillIn, queryOf } from "./call-address.ts";
import type { Event, LiveOutput } from "./calls.ts";
import { type Block, blocksIn } from "./event-stream.ts";

export interface FollowOptions {
  /** Aborted, it ends the iterator. */
  signal?: AbortSignal | undefined;
  /** Told when the stream is open, and when it is lost with the reason: it is opened again after `pauseMs`. */
  onState?: (state: { isOpen: true } | { isOpen: false; reason: Error; pauseMs: number }) => void;
}

/** A change; or a `reset`: changes after the last one are not there any more, so that what depends on them must be read anew. */
export type Change = { type: "event"; id: string; event: Event } | { type: "reset"; id: string; reason: string };

export type Piece = LiveOutput["pieces"][number];

export interface Streams {
  /**
   * Every change from now on, or behind `after`: of these types, and of this task. Each change comes once, also over a lost connection and a restart
   * of the runtime. Rejects with `Refused` where the runtime refuses for good.
   */
  followEvents(
    args?: { types?: string | string[]; task_id?: string; after?: string },
    options?: FollowOptions,
  ): AsyncGenerator<Change, void>;
  /**
   * What a task prints, from the begin or behind the position `after`, until the task has ended. Rejects with `Refused` where the runtime
   * refuses for good.
   */
  followOutput(args: { id: string; after?: number }, options?: FollowOptions): AsyncGenerator<Piece, void>;
}

/** The runtime sends a comment every 15 s. */
const SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** Makes the streams over what sends a call. */
export function createStreams(send: (sent: Sent) => Promise<Response>): Streams {
  return {
    async *followEvents(args = {}, options) {
      for await (const { id = "", event, data } of follow(send, "/api/runtime/events", args, options)) {
        const told = JSON.parse(data);
        yield event === "reset" ? { type: "reset", id, reason: told.reason } : { type: "event", id, event: told };
      }
    },
    async *followOutput({ id: task, after }, options) {
      const { address } = fillIn("/api/runtime/llm-tasks/{id}/stream", { id: task });
      for await (const { id, event, data } of follow(send, address, { after }, options)) {
        if (event === "end") return;
        yield { position: Number(id), ...JSON.parse(data) };
      }
    },
  };
}

/** The blocks of a stream that have data, over as many connections as it takes. */
async function* follow(
  send: (sent: Sent) => Promise<Response>,
  path: string,
  { after, ...args }: { [name: string]: unknown },
  { signal, onState }: FollowOptions = {},
): AsyncGenerator<Block & { data: string }, void> {
  let last = after === undefined ? undefined : String(after);
  for (let failures = 0; !signal?.aborted; failures++) {
    let reason: Error = new NoAnswer("The stream has ended.");
    try {
      const response = await send({
        method: "GET",
        path: path + queryOf({ ...args, after: last }),
        headers: { Accept: "text/event-stream" },
        signal,
      });
      onState?.({ isOpen: true });
      for await (const { id, data, ...block } of blocksIn(response.body ?? new ReadableStream(), SILENCE_MS)) {
        failures = 0;
        if (id !== undefined) last = id;
        if (data !== undefined) yield { ...block, data, ...(id !== undefined && { id }) };
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof Refused && !isPassing(error)) throw error;
      reason = error instanceof Error ? error : new Error(String(error));
    }
    const asked = reason instanceof Refused ? (reason.retryAfterSeconds ?? 0) * 1_000 : 0;
    const pauseMs = Math.max(
      asked,
      Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2),
    );
    onState?.({ isOpen: false, reason, pauseMs });
    await pause(pauseMs, signal);
  }
}

const isPassing = ({ status }: Refused) => status >= 500 || status === 408 || status === 429;

/** Waits, or until the signal is aborted. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}
