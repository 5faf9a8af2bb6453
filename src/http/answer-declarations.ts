/** What calls answer, as their declarations say it. The document of the calls is made from this, and in the tests every answer is held against it. */
import { z } from "zod";
import type { AnswerHeader } from "./openapi/headers.ts";

export interface Answer {
  /** What the status means, in a sentence. */
  means: string;
  /** The body, where it is JSON. */
  json?: z.ZodType;
  /** What the body is, where it has another media type. A call that has both kinds chooses by `Accept`. */
  other?: Record<string, string>;
  headers?: readonly AnswerHeader[];
}

/**
 * A call's answers by status; `default` is every status that is not named. A sentence in place of an answer means that there is no body, and from
 * 400 on that the body is the error. What every call may be refused with (a limit, the key, an unreadable body, the database) is not declared again.
 */
export interface Answers {
  readonly [status: number]: Answer | string;
  readonly default?: string;
}

/** The answer of a list: one page of such records. */
export const pageOf = (record: z.ZodType, means: string): Answers => ({
  200: {
    means: `${means} Where there are more, \`Link\` is the address of the next page.`,
    json: z.array(record),
    headers: ["Link"],
  },
});

export const NO_TASK = { 404: "There is no such task." };
export const NO_WORKER = { 404: "There is no such worker." };
/** Refusals of a call under a lease. */
export const NO_LEASE = {
  ...NO_TASK,
  409: "The lease does not hold the task (any more), or the task's state does not allow this.",
};

/** The text that a call answers where the client prefers it: a sentence, with these fields in headers. */
export const asText = (fields: string): Record<string, string> => ({
  "text/plain": `A sentence; the fields are in headers, percent-encoded: ${fields.replace(/[\w-]+/g, "`X-Bloom-$&`")}.`,
});
