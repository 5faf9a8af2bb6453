import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { type AnswerParts, countAnswerParts } from "../answer-parts.ts";

/** For these statuses the S3 client throws without reading the answer, which would keep the connection open for ever. */
const UNREAD = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/**
 * Makes the requests of the S3 client, which by itself would wait for ever. A request on which nothing moves for `idleMs` milliseconds is
 * ended, unless that is because we read slowly; so is one whose answer comes in too many parts (answer-parts.ts). `signal` ends a request too.
 * `noteTime` gets the store's own time, which its answers carry.
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
    const parts = countAnswerParts();
    let unread = () => 0;
    made.on("information", () => {
      const excess = parts.addInformational();
      if (excess) made.destroy(excess);
    });
    made.on("response", (answer) => {
      boundChunks(answer, parts);
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

function boundChunks(answer: IncomingMessage, parts: AnswerParts): void {
  const push = answer.push.bind(answer);
  answer.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    // Node hands over what it had already read, also after the answer was destroyed.
    if (answer.destroyed) return false;
    const excess = chunk ? parts.addChunk(chunk.length) : undefined;
    if (!excess) return push(chunk, encoding);
    answer.destroy(excess);
    return false;
  };
}
