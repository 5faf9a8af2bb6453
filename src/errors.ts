/** Refusals: the errors that the service throws on purpose. Only `http/error-answers.ts` turns them into answers. */

/** A refusal of a request. `message` is the sentence that the client reads, and `status` is the HTTP status of the answer. */
export abstract class Refusal extends Error {
  abstract readonly status: number;
  /** After how many seconds the same request may succeed, where that is known. */
  readonly retryAfterSeconds: number | undefined = undefined;
}

/** 404: the thing that the request names does not exist. */
export class NotFound extends Refusal {
  readonly status = 404;
}

/** 409: the thing exists, but its state does not allow the request. */
export class Conflict extends Refusal {
  readonly status = 409;
}

/** 403: the caller is known, and may not do this. */
export class Forbidden extends Refusal {
  readonly status = 403;
}

/** 503: nobody can do this now; the same request may succeed later. */
export class Unavailable extends Refusal {
  readonly status = 503;
}

/** The process cannot start or cannot go on. `message` tells the operator what is wrong and what to do; it is shown without a stack. */
export class StartError extends Error {}

/** The text of anything thrown, for logs and sentences. The message of a failed query is left out: it quotes parameters, which may be secrets. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("params" in error) return error.cause === undefined ? "A query failed." : messageOf(error.cause);
  // fetch throws this message for every reason, and the reason is in the cause.
  if (error.message === "fetch failed" && error.cause !== undefined) return messageOf(error.cause);
  // The error for a name with several addresses, none of which answers, has no message of its own.
  return error.message || (error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : "");
}

/** The text of anything thrown, with its stack and its causes, for the person who has to mend it. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack = "", cause } = error;
  const end = stack.indexOf(message);
  const frames = end < 0 ? "" : stack.slice(end + message.length);
  const text = `${name}: ${messageOf(error)}${frames}`;
  return cause === undefined ? text : `${text}\ncaused by ${stackOf(cause)}`;
}

/** What is said of an error that ends the process. A StartError is a sentence for the operator; any other is a fault of ours, and its stack helps. */
export function lastWords(error: unknown): string {
  return error instanceof StartError ? error.message : stackOf(error);
}

/** The error, and what it gives as its cause, and so on: a library wraps errors of others in its own. */
export function* causesOf(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause;
}
