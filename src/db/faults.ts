/** What went wrong between us and the database, by kind. */
import { DatabaseError } from "pg";

const NETWORK_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
]);
/** What pg and pg-pool say, without a code, of a connection that could not be made, does not answer, or went away. */
const CONNECTION_LOST =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error/;

/** True when the error means that the database could not be asked, as opposed to: it was asked and refused. */
export function isDatabaseUnavailable(error: unknown): boolean {
  const code = databaseErrorOf(error)?.code;
  // Connection exceptions, too many connections, and a server that is shutting down or starting.
  if (code !== undefined) return code.startsWith("08") || code.startsWith("57P") || code === "53300";
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (CONNECTION_LOST.test(cause.message)) return true;
    if ("code" in cause && NETWORK_CODES.has(String(cause.code))) return true;
    if (cause instanceof AggregateError && cause.errors.some(isDatabaseUnavailable)) return true;
  }
  return false;
}

const UNIQUE_VIOLATION = "23505";
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";
const INVALID_SQL_STATEMENT_NAME = "26000";
const DUPLICATE_PREPARED_STATEMENT = "42P05";

/** True when the database has rolled a transaction back for the sake of others, or for want of a name, so that it may run again. */
export function isRepeatable(error: unknown): boolean {
  const code = databaseErrorOf(error)?.code;
  return code === SERIALIZATION_FAILURE || code === DEADLOCK_DETECTED || isNotPrepared(error);
}

/** True when a statement's name was not known on the connection, or known to another client of it already: nothing was run. */
export function isNotPrepared(error: unknown): boolean {
  const code = databaseErrorOf(error)?.code;
  return code === INVALID_SQL_STATEMENT_NAME || code === DUPLICATE_PREPARED_STATEMENT;
}

/** True when a row was refused because there is one like it. */
export function isUniqueViolation(error: unknown): boolean {
  return databaseErrorOf(error)?.code === UNIQUE_VIOLATION;
}

/** The driver's error under what Drizzle wraps around it, if there is one. */
export function databaseErrorOf(error: unknown): DatabaseError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DatabaseError) return cause;
  }
  return undefined;
}
