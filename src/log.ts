import { DrizzleQueryError } from "drizzle-orm/errors";
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";
import { currentRequest } from "./context.ts";

/** Lines are written many at a time, and at the process's end: each write of its own is a system call that requests would wait for. */
const BUFFER_BYTES = 4_096;
const FLUSH_EVERY_MS = 100;

/** The service's log: one JSON object a line on standard output. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: serializeError }, mixin: idOfRequest };
  return pino(options, destination ?? pino.destination({ minLength: BUFFER_BYTES, periodicFlush: FLUSH_EVERY_MS }));
}

/** Every line that a request brings about can be found by its id. */
function idOfRequest(): { requestId?: string } {
  const request = currentRequest();
  return request ? { requestId: request.requestId } : {};
}

/** A failed query without its parameters: they are prompts and outputs, of any size. */
function serializeError(error: Error) {
  if (!(error instanceof DrizzleQueryError)) return stdSerializers.err(error);
  return { query: error.query, ...(error.cause && stdSerializers.err(error.cause)) };
}
