import type { Request } from "express";
import { z } from "zod";
import { faultSentence } from "../contract/fault-sentences.ts";

/** An answer tells this many problems of one field at most. A bulk of 95 tasks with 1,000 wrong hints each had an answer of 3.6 MB. */
const MOST_PROBLEMS = 20;

/**
 * The schema of a call refuses the body: 400. `problems` is zod's flattened form. A problem of an inner field stands under its top-level field,
 * and names the inner one; of each field there are the first 20.
 */
export class InvalidBody extends Error {
  readonly problems: { formErrors: string[]; fieldErrors: Record<string, string[] | undefined> };
  constructor(error: z.ZodError) {
    super("The request's body is not valid.");
    const { formErrors, fieldErrors } = z.flattenError<unknown, string>(
      error,
      ({ path: [_field, ...inner], message }) => (inner.length > 0 ? `${inner.join(".")}: ${message}` : message),
    );
    this.problems = {
      formErrors,
      fieldErrors: Object.fromEntries(
        Object.entries<string[] | undefined>(fieldErrors).map(([field, problems]) => [
          field,
          problems?.slice(0, MOST_PROBLEMS),
        ]),
      ),
    };
  }

  /** An InvalidBody for a fault of `field` that a schema cannot find. */
  static of(field: string, message: string): InvalidBody {
    return new InvalidBody(new z.ZodError([{ code: "custom", path: [field], message, input: undefined }]));
  }
}

/** A value in the path, the query or a header makes no sense: 400. `message` says what is allowed. */
export class InvalidValue extends Error {}

/** Checks a request's body, and gives what the schema makes of it. A missing body counts as `{}`. Throws InvalidBody. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body ?? {}, { error: faultSentence });
  if (!parsed.success) throw new InvalidBody(parsed.error);
  return parsed.data;
}

/**
 * Gives the lease that the caller says it holds, from `lease_id` in the body or from the header `X-Lease-Id`, and the body with that `lease_id`.
 * The body is not checked here. Throws InvalidValue when the header and the body name two leases.
 */
export function fencedBody(request: Request): { body: unknown; leaseId: string | undefined } {
  const { body } = request;
  const header = request.get("x-lease-id")?.toLowerCase();
  const field = typeof body?.lease_id === "string" ? body.lease_id.toLowerCase() : undefined;
  if (header && field && header !== field)
    throw new InvalidValue("The header X-Lease-Id and lease_id in the body name two leases.");
  if (!header || Array.isArray(body)) return { body, leaseId: field };
  return { body: { ...body, lease_id: header }, leaseId: header };
}

/** Checks the header `name`, and gives what the schema makes of it. Throws InvalidValue. */
export function parseHeader<T extends z.ZodType>(schema: T, name: string, request: Request): z.output<T> {
  const parsed = schema.safeParse(request.get(name), { error: faultSentence });
  if (parsed.success) return parsed.data;
  throw new InvalidValue(`The header ${name} is not valid: it ${parsed.error.issues[0]?.message}.`);
}

/**
 * Checks a request's query, and gives what the schema makes of it. Throws InvalidValue, also for a parameter that the call does not have: if a
 * filter were ignored, the answer would have everything.
 */
export function parseQuery<T extends z.ZodObject>(schema: T, request: Request): z.output<T> {
  const unknown = Object.keys(request.query).find((name) => !Object.hasOwn(schema.shape, name));
  if (unknown !== undefined) {
    const known = Object.keys(schema.shape).join(", ");
    throw new InvalidValue(
      `The query is not valid. ${unknown.slice(0, 100).toWellFormed()}: there is no such parameter here, only ${known}`,
    );
  }
  const parsed = schema.safeParse(request.query, { error: faultSentence });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new InvalidValue(`The query is not valid. ${faults.join("; ")}`);
}
