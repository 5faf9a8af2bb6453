import type { Request } from "express";
import { z } from "zod";
import { faultSentence } from "../contract/faults.ts";

/** A body that its schema refuses (400, in zod's flattened form: nested problems stand under their top-level field, and name the inner one). */
export class InvalidBody extends Error {
  readonly problems: { formErrors: string[]; fieldErrors: Record<string, string[] | undefined> };
  constructor(error: z.ZodError) {
    super("The request's body is not valid.");
    this.problems = z.flattenError(error, ({ path: [_field, ...inner], message }) =>
      inner.length > 0 ? `${inner.join(".")}: ${message}` : message,
    );
  }

  /** For what no schema can find out. */
  static of(field: string, message: string): InvalidBody {
    return new InvalidBody(new z.ZodError([{ code: "custom", path: [field], message, input: undefined }]));
  }
}

/** A value in the path or the query that makes no sense (400); `message` says what is allowed. */
export class InvalidValue extends Error {}

/** A request's body, checked. None at all counts as `{}`. Throws InvalidBody. */
export function parseBody<T extends z.ZodType>(schema: T, { body }: { body: unknown }): z.output<T> {
  const parsed = schema.safeParse(body ?? {}, { error: faultSentence });
  if (!parsed.success) throw new InvalidBody(parsed.error);
  return parsed.data;
}

/**
 * The lease that the caller says it holds, and the body with it as `lease_id`, wherever it came: there, or as the header `X-Lease-Id`.
 * A `lease_id` of another type is for the body's own schema to refuse. Throws InvalidValue when they name two leases.
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

/** The header's value, checked. Throws InvalidValue. */
export function parseHeader<T extends z.ZodType>(schema: T, name: string, request: Request): z.output<T> {
  const parsed = schema.safeParse(request.get(name), { error: faultSentence });
  if (parsed.success) return parsed.data;
  throw new InvalidValue(`The header ${name} is not valid: it ${parsed.error.issues[0]?.message}.`);
}

/**
 * The request's query, checked. A parameter that the call does not have is refused: a filter that was ignored would answer everything.
 * Throws InvalidValue.
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
