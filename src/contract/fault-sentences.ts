/** The words for a refused field: "is missing" where zod says "Invalid input: expected string, received undefined". */
import type { z } from "zod";

const KINDS: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/**
 * Says what is wrong with a value; the sentence goes on after the name of its field. Undefined: zod's own words are used. The message that a
 * field's schema gives itself comes before this one.
 */
export function faultSentence(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case "invalid_type":
      if (input === undefined) return "is missing";
      if (Number.isNaN(input)) return "must be a number";
      if (issue.expected === "int" && typeof input === "number") return "must be a whole number";
      return `must be ${KINDS[issue.expected] ?? issue.expected}, not ${jsonTypeOf(input)}`;
    case "invalid_value":
      return input === undefined ? "is missing" : `must be one of ${issue.values.join(", ")}`;
    case "too_small":
      return issue.origin === "string" ? "must not be empty" : `must be ${issue.minimum} or more`;
    case "too_big":
      if (issue.origin === "string") return `must have ${issue.maximum} characters at most`;
      return issue.origin === "array"
        ? `must have ${issue.maximum} entries at most`
        : `must be ${issue.maximum} or less`;
    default:
      return undefined;
  }
}

function jsonTypeOf(value: unknown): string {
  if (value === null) return "null";
  return KINDS[Array.isArray(value) ? "array" : typeof value] ?? typeof value;
}
