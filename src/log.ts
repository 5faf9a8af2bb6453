import { type DestinationStream, type Logger, pino } from "pino";
import { messageOf, stackOf } from "./errors.ts";
import { type LogDestination, openLogDestination } from "./log-destination.ts";
import { readableLine } from "./readable-line.ts";

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

/** The service's log on standard output: one JSON object a line, or readable lines where that is a terminal. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { err: serializeError } };
  const sayLost = (lines: number) => log.warn({ lines }, "lines were lost while the log could not be written");
  const log = pino(options, destination ?? forReader(openLogDestination(sayLost)));
  return log;
}

function forReader(output: LogDestination): LogDestination {
  if (!process.stdout.isTTY) return output;
  return { ...output, write: (line) => output.write(readableLine(line)) };
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
