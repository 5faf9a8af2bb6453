import type { Request } from "express";
import { z } from "zod";

/** A body that its schema refuses (400, in zod's flattened form: nested problems stand under their top-level field). */
export class InvalidBody extends Error {
  readonly problems: { formErrors: string[]; fieldErrors: Record<string, string[] | undefined> };
  constructor(error: z.ZodError) {
    super("The request's body is not valid.");
    this.problems = z.flattenError(error);
  }
}

/** A value in the path or the query that makes no sense (400); `message` says what is allowed. */
export class InvalidValue extends Error {}

/** The request's body, checked. None at all counts as `{}`. Throws InvalidBody. */
export function bodyOf<T extends z.ZodType>(schema: T, request: Request): z.output<T> {
  const parsed = schema.safeParse(request.body ?? {});
  if (!parsed.success) throw new InvalidBody(parsed.error);
  return parsed.data;
}

/** The request's query, checked. Throws InvalidValue. */
export function queryOf<T extends z.ZodType>(schema: T, request: Request): z.output<T> {
  const parsed = schema.safeParse(request.query);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new InvalidValue(`The query is not valid. ${faults.join("; ")}`);
}
