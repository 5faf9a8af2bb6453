/** What each database error means: the answer to the client, and which connections are closed. No other file knows the error codes. */
import { DatabaseError } from "pg";
import { causesOf } from "../errors.ts";

/** A fault of the database, not of the request. The client never sees it as a 500. */
export interface Fault {
  /** 503 passes by itself; 507 needs an operator who frees space. */
  status: 503 | 507;
  /** The sentence for the client and for the health call. */
  sentence: string;
  /** The connections that must be closed: none, the connection that met the fault, or all that were opened so far. */
  drops: "none" | "one" | "all";
}

const UNREACHABLE: Fault = {
  status: 503,
  sentence:
    "The database does not answer now. Try again shortly; a change may have been made although its answer was lost.",
  drops: "one",
};
const OVERTAKEN: Fault = {
  status: 503,
  sentence: "Too many others are changing the same thing now. Nothing was changed; try again.",
  drops: "none",
};

/** The faults by SQLSTATE, or by the system's code of a network fault. The first pattern that matches counts. */
const FAULTS: [code: RegExp, fault: Fault][] = [
  // Read-only: a standby after a switch-over, or default_transaction_read_only. The other connections lead to the same server.
  [
    /^25006$/,
    {
      status: 503,
      sentence: "The database is read-only now, as while it is being moved. Nothing was changed; try again shortly.",
      drops: "all",
    },
  ],
  // A statement was cancelled: by us when it took too long, by the server's statement_timeout, or by an administrator.
  [
    /^57014$/,
    {
      status: 503,
      sentence: "The database took too long and gave the statement up. Nothing was changed; try again shortly.",
      drops: "none",
    },
  ],
  // lock_timeout, or NoPlaceToWait.
  [
    /^55P03$/,
    {
      status: 503,
      sentence: "Something else has locked what this needs. Nothing was changed; try again shortly.",
      drops: "none",
    },
  ],
  // The disk is full.
  [
    /^53100$/,
    {
      status: 507,
      sentence:
        "The disk of the database is full. Nothing was stored; all that was stored before is safe. Free some space there, and it goes on by itself.",
      drops: "none",
    },
  ],
  // Too many connections: this one was never made.
  [
    /^53300$/,
    {
      status: 503,
      sentence: "The database takes no more connections now. Nothing was changed; try again shortly.",
      drops: "one",
    },
  ],
  // Out of memory, a limit for temporary files, a fault of the server's file system.
  [
    /^5[38]\w{3}$/,
    {
      status: 503,
      sentence: "The database lacks the memory or the disk for this now. Nothing was changed; try again shortly.",
      drops: "none",
    },
  ],
  // A serialization failure or a deadlock that repeating did not end (Overtaken).
  [/^40001$|^40P01$/, OVERTAKEN],
  // The database no longer lets the service in: the password changed, the database was renamed, or it takes no connections (55000).
  [
    /^28\w{3}$|^3D000$|^55000$/,
    {
      status: 503,
      sentence: "The database does not let this service in. The operator has to see to it.",
      drops: "one",
    },
  ],
  // The server shuts down, crashed or is starting, or something else ended the connection or kept it from being made.
  [/^57P\w{2}$|^08\w{3}$|^25P0[34]$|^40003$/, UNREACHABLE],
  [/^(ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/, UNREACHABLE],
];
/** Messages of pg and pg-pool that come without a code: the connection could not be made, does not answer, or was lost. */
const CONNECTION_LOST =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|timeout expired|Client has encountered a connection error|server does not support SSL|establishing an SSL connection/;

/** The database fault behind `error`; undefined when the error has another cause. */
export function faultOf(error: unknown): Fault | undefined {
  for (const cause of causesOf(error)) {
    const code = "code" in cause ? String(cause.code) : "";
    const known = FAULTS.find(([pattern]) => pattern.test(code));
    if (known) return known[1];
    if (CONNECTION_LOST.test(cause.message)) return UNREACHABLE;
    if (cause instanceof AggregateError) {
      const found = cause.errors.map(faultOf).find((each) => each !== undefined);
      if (found) return found;
    }
  }
  return undefined;
}

/** True when the database caused the error, so that the same request may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  return faultOf(error) !== undefined;
}

const UNIQUE_VIOLATION = "23505";
/** Insufficient privilege, feature not supported, undefined function. */
const FUNCTION_REFUSED = new Set<string | undefined>(["42501", "0A000", "42883"]);
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";
const INVALID_SQL_STATEMENT_NAME = "26000";
const DUPLICATE_PREPARED_STATEMENT = "42P05";

/** The index that allows one running task for each concurrency key. */
export const ONE_RUNNING_PER_KEY = "llm_tasks_one_running_per_key";

/**
 * True when the transaction was rolled back and may run again: after a deadlock, a serialization failure, an unknown statement name, or since
 * another task with the same concurrency key was leased at the same moment, which the next try sees.
 */
export function isRepeatable(error: unknown): boolean {
  const { code, constraint } = databaseErrorOf(error) ?? {};
  const isKeyTaken = code === UNIQUE_VIOLATION && constraint === ONE_RUNNING_PER_KEY;
  return code === SERIALIZATION_FAILURE || code === DEADLOCK_DETECTED || isKeyTaken || isNotPrepared(error);
}

/** True when the name of a prepared statement was unknown on the connection, or taken there by another client. Nothing was run. */
export function isNotPrepared(error: unknown): boolean {
  const code = databaseErrorOf(error)?.code;
  return code === INVALID_SQL_STATEMENT_NAME || code === DUPLICATE_PREPARED_STATEMENT;
}

/** True when the server does not let the caller use a function, or does not have it, as managed databases do with some of PostgreSQL's. */
export function isFunctionRefused(error: unknown): boolean {
  return FUNCTION_REFUSED.has(databaseErrorOf(error)?.code);
}

/** True when a unique index refused a row. */
export function isUniqueViolation(error: unknown): boolean {
  return databaseErrorOf(error)?.code === UNIQUE_VIOLATION;
}

/** The driver's error under what Drizzle wraps around it, if there is one. */
export function databaseErrorOf(error: unknown): DatabaseError | undefined {
  for (const cause of causesOf(error)) if (cause instanceof DatabaseError) return cause;
  return undefined;
}
