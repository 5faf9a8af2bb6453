/**
 * Faults of the database that the service finds itself, without an error of the server. Each has the code of the server's error that means the
 * same, by which faults.ts knows it also inside the error that Drizzle makes of it. They are no `Refusal`: Drizzle wraps the error, and a wrapped
 * `Refusal` was answered 500.
 */

/** The server is read-only where a writable one is needed. Its code is that of PostgreSQL for the same case. */
export class NotWritable extends Error {
  readonly code = "25006";

  constructor(message = "The server takes no changes: it is read-only, as a standby is.") {
    super(message);
  }
}

/**
 * A statement succeeded although its cancellation was asked for. PostgreSQL gives this answer for a commit that waits for a synchronous standby: the
 * primary has committed, but a standby that is promoted may lack the change. The code is PostgreSQL's for an unknown outcome.
 */
export class Unconfirmed extends Error {
  readonly code = "08007";
}

/** Others were faster each time that the work was tried. The code is PostgreSQL's for a serialization failure. */
export class Overtaken extends Error {
  readonly code = "40001";

  constructor() {
    super("Others changed the same thing each time that this was tried.");
  }
}

/** The statement was not sent, since too many statements before it wait for locks. The code is PostgreSQL's for a lock that cannot be had. */
export class NoPlaceToWait extends Error {
  readonly code = "55P03";

  constructor() {
    super("Too many others wait for something that is locked in the database.");
  }
}

/** The statement was not sent, since the time of the whole call was over. The code is PostgreSQL's for a statement that takes too long. */
export class OutOfTime extends Error {
  readonly code = "57014";

  constructor() {
    super("The time of the call was over before this statement was sent.");
  }
}
