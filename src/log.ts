import { type DestinationStream, type Logger, pino } from "pino";
import { messageOf, stackOf } from "./errors.ts";
import { type LogDestination, openLogDestination } from "./log-destination.ts";
import { readableLine } from "./readable-log-line.ts";

/** The properties of an error that contain no data of a request. */
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

/**
 * The service's log on standard output: a JSON object a line, or readable lines on a terminal. Each line has the fields of `base`, if there are any.
 */
export function createLog(level: string, destination?: DestinationStream, base: { pid: number } | null = null): Logger {
  const options = { level, base, serializers: { err: serializeError } };
  const sayLost = (lines: number) => log.warn({ lines }, "lines were lost while the log could not be written");
  const log = pino(options, destination ?? forReader(openLogDestination(sayLost)));
  return log;
}

function forReader(output: LogDestination): LogDestination {
  if (!process.stdout.isTTY) return output;
  return { ...output, write: (line) => output.write(readableLine(line)) };
}

/** Logs only the properties that say what happened: drivers' errors also quote data (PostgreSQL in `detail` and `where`). */
function serializeError(error: unknown) {
  const type = error instanceof Error ? error.constructor.name : typeof error;
  return { type, message: messageOf(error), stack: stackOf(error), ...detailsOf(error) };
}

/** The properties in SHOWN, of the error or else of its cause. */
function detailsOf(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return {};
  const own = Object.entries(error).filter(([name, value]) => SHOWN.has(name) && value !== undefined);
  return { ...detailsOf(error.cause), ...Object.fromEntries(own) };
}
