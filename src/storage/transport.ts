import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";

/** What the client throws an error for without reading the answer, which would keep its connection for ever. */
const UNREAD = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/**
 * How the client makes its requests: with a limit to how long nothing may move, in milliseconds, as it would itself wait for ever, and ended
 * by `signal`. That nothing moves because we read slowly is no such case. `noteTime` hears of the store's own time, which its answers carry.
 */
export function transport(
  useSSL: boolean,
  idleMs: number,
  noteTime: (storeMs: number) => void,
  signal?: AbortSignal,
): { request: typeof httpRequest } {
  const send = useSSL ? httpsRequest : httpRequest;
  const request = (options: RequestOptions, onAnswer?: (answer: IncomingMessage) => void): ClientRequest => {
    const made = send(signal ? { ...options, signal } : options, onAnswer);
    let unread = () => 0;
    made.on("response", (answer) => {
      unread = () => answer.readableLength;
      noteTime(Date.parse(answer.headers.date ?? ""));
      if (UNREAD.has(answer.statusCode ?? 0)) answer.destroy();
    });
    made.setTimeout(idleMs).on("timeout", () => {
      if (unread() > 0) made.setTimeout(idleMs);
      else made.destroy(new Error(`nothing moved for ${idleMs / 1_000} s`));
    });
    return made;
  };
  return { request: request as typeof httpRequest };
}
