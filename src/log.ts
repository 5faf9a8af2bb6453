import { type DestinationStream, type Logger, pino } from "pino";
import { messageOf, stackOf } from "./errors.ts";

/** Lines are written many at a time, and at the process's end: each write of its own is a system call that requests would wait for. */
const BUFFER_BYTES = 4_096;
const FLUSH_EVERY_MS = 100;
/** Of an error's properties, those that hold no data of anybody. */
const SHOWN = new Set([
  "code",
  "errno",
  "syscall",
  "address",
  "port",
  "status",
  "query",
  "routine",
  "table",
  "column",
  "constraint",
]);

/** The service's log: one JSON object a line on standard output. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: serializeError } };
  return pino(options, destination ?? pino.destination({ minLength: BUFFER_BYTES, periodicFlush: FLUSH_EVERY_MS }));
}

/** Only what says what happened: drivers' errors also quote what they were given (PostgreSQL in `detail` and `where`). */
function serializeError(error: unknown) {
  const type = error instanceof Error ? error.constructor.name : typeof error;
  return { type, message: messageOf(error), stack: stackOf(error), ...detailsOf(error) };
}

/** The code and the like, of the error or of its cause. */
function detailsOf(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return {};
  const own = Object.entries(error).filter(([name, value]) => SHOWN.has(name) && value !== undefined);
  return { ...detailsOf(error.cause), ...Object.fromEntries(own) };
}
