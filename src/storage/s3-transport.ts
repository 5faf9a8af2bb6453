import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { type AnswerParts, countAnswerParts } from "../answer-parts.ts";

/** For these statuses the S3 client throws without reading the answer, which would keep the connection open for ever. */
const UNREAD = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/**
 * What an answer without an object may have: an error, a listing (we ask for one key) or the answer to a PUT or DELETE. Each has some 1 KB, and an
 * HTML page of a proxy some 10 KB. The S3 client reads them whole: a listing of 1 MB took its parser 2 s, in which nothing else ran.
 */
const MOST_BYTES = 64 * 1024;

/** The limits of a request, in milliseconds. */
export interface RequestLimits {
  /** How long nothing may move, unless that is because we read slowly. */
  idleMs: number;
  /** How long an answer without an object may take from its head to its end. */
  answerMs: number;
}

/**
 * Makes the requests of the S3 client, which by itself would wait and read for ever. A request beyond its limits is ended; so is one whose answer
 * comes in too many parts (answer-parts.ts), or has more than 64 KB and is no object: who reads an object knows its size, and has bounds of their
 * own. `signal` ends a request too. `noteTime` gets the store's own time, which its answers carry.
 */
export function transport(
  useSSL: boolean,
  { idleMs, answerMs }: RequestLimits,
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
      const hasObject = isObject(made, answer);
      boundChunks(answer, parts, hasObject ? Number.POSITIVE_INFINITY : MOST_BYTES);
      if (!hasObject) boundTime(answer, answerMs);
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

/** The S3 client asks for an object by its path alone, and for all else by a query. */
function isObject({ method, path }: ClientRequest, { statusCode }: IncomingMessage): boolean {
  return method === "GET" && !path.includes("?") && (statusCode === 200 || statusCode === 206);
}

function boundChunks(answer: IncomingMessage, parts: AnswerParts, mostBytes: number): void {
  let bytes = 0;
  const excessOf = (chunk: Buffer) => {
    bytes += chunk.length;
    return bytes > mostBytes ? tooLong() : parts.addChunk(chunk.length);
  };
  const push = answer.push.bind(answer);
  answer.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    // Node hands over what it had already read, also after the answer was destroyed.
    if (answer.destroyed) return false;
    const excess = chunk ? excessOf(chunk) : undefined;
    if (!excess) return push(chunk, encoding);
    answer.destroy(excess);
    return false;
  };
}

const tooLong = () =>
  new Error(
    `its answer has more than ${MOST_BYTES / 1024} KB, which no S3 store sends here. Check MINIO_ENDPOINT and MINIO_PORT`,
  );

function boundTime(answer: IncomingMessage, withinMs: number): void {
  const end = () => answer.destroy(new Error(`its answer did not end within ${withinMs / 1_000} s`));
  const timer = setTimeout(end, withinMs);
  answer.once("close", () => clearTimeout(timer));
}
