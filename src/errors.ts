/** Named refusals: the errors that the domain throws on purpose. `http/errors.ts` is the one place that renders them. */

/** A refusal of a request: `message` is the sentence that the client reads, `status` the HTTP status it comes with. */
export abstract class Refusal extends Error {
  abstract readonly status: number;
  /** After how many seconds the same request may succeed, where that is known. */
  readonly retryAfterSeconds: number | undefined = undefined;
}

/** The thing that the request names does not exist (404). */
export class NotFound extends Refusal {
  readonly status = 404;
}

/** The thing exists, but is not in a state that allows the request (409). */
export class Conflict extends Refusal {
  readonly status = 409;
}

/** The caller is known, and may not do it (403). */
export class Forbidden extends Refusal {
  readonly status = 403;
}

/** Nobody can do it now; the same request may succeed later (503). */
export class Unavailable extends Refusal {
  readonly status = 503;
}

/** The process cannot start, or cannot go on; `message` tells the operator what is wrong and what to do. Shown without a stack. */
export class StartError extends Error {}

/** The text of anything thrown, for logs and sentences. A failed query's own quotes its parameters, which may be secrets, and of any size. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("params" in error) return error.cause === undefined ? "A query failed." : messageOf(error.cause);
  // So fetch says; why is in its cause.
  if (error.message === "fetch failed" && error.cause !== undefined) return messageOf(error.cause);
  // A name with several addresses, none of which answers, is such an error without words of its own.
  return error.message || (error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : "");
}

/** The same with the way it was thrown, and its causes, for whoever has to mend it. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack = "", cause } = error;
  const end = stack.indexOf(message);
  const frames = end < 0 ? "" : stack.slice(end + message.length);
  const said = `${name}: ${messageOf(error)}${frames}`;
  return cause === undefined ? said : `${said}\ncaused by ${stackOf(cause)}`;
}
