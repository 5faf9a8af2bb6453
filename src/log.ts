import { DrizzleQueryError } from "drizzle-orm/errors";
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";

/** The service's log: one JSON object a line on standard output. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: serializeError } };
  return destination ? pino(options, destination) : pino(options);
}

/** A failed query without its parameters: they are prompts and outputs, of any size. */
function serializeError(error: Error) {
  if (!(error instanceof DrizzleQueryError)) return stdSerializers.err(error);
  return { query: error.query, ...(error.cause && stdSerializers.err(error.cause)) };
}
