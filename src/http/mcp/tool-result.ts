import { z } from "zod";
import { invalidBody, refusal } from "../../contract/service-answers.ts";
import type { RouteAnswer } from "./call-route.ts";
import type { Tool } from "./tools.ts";

/** What a tool answers, as the protocol has it. */
export interface ToolResult {
  content: { type: "text"; text: string }[];
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
  [more: string]: unknown;
}

/** The most characters of one text in a tool's answer, which goes into the context of an LLM. */
const MOST_CHARACTERS = 20_000;

const anyRecord = z.record(z.string(), z.unknown());

/** A call's answer as the tool's: the same record, with long texts cut. `whole` is where they can be read. */
export function toolResult({ listName }: Tool, { status, header, body }: RouteAnswer, whole: string): ToolResult {
  if (status >= 400) return failure(sentenceOf(body));
  const link = header("Link");
  const record = listName === undefined ? anyRecord.parse(body) : { [listName]: body, next: nextOf(link) };
  const structuredContent = boundedFields(record, whole);
  const content = [{ type: "text" as const, text: JSON.stringify(structuredContent) }];
  const ignored = header("X-Ignored-Fields");
  if (ignored)
    content.push({ type: "text", text: `These fields were ignored, since a task has none of that name: ${ignored}` });
  return { content, structuredContent };
}

export const failure = (text: string): ToolResult => ({ content: [{ type: "text", text }], isError: true });

/** The `after` of the next page, as the Link of this one has it; null where this is the last. */
function nextOf(link: string | undefined): string | null {
  const [, address] = link?.match(/^<(.*)>/) ?? [];
  return address === undefined ? null : new URL(address, "http://localhost").searchParams.get("after");
}

/** The value with each long text in it cut. */
function bounded(value: unknown, whole: string): unknown {
  if (typeof value === "string" && value.length > MOST_CHARACTERS)
    return `${value.slice(0, MOST_CHARACTERS).toWellFormed()}\n[${MOST_CHARACTERS} of ${value.length} characters. The whole is at ${whole}]`;
  if (Array.isArray(value)) return value.map((each) => bounded(each, whole));
  if (typeof value !== "object" || value === null) return value;
  return boundedFields(value, whole);
}
const boundedFields = (record: object, whole: string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).map(([name, each]) => [name, bounded(each, whole)]));

/** The error of an answer as one text. */
function sentenceOf(body: unknown): string {
  const invalid = invalidBody.safeParse(body).data;
  if (!invalid) {
    const { error, message = error } = refusal.parse(body);
    return message === error ? error : `${error}: ${message}`;
  }
  const { formErrors, fieldErrors } = invalid.error;
  const fields = Object.entries(fieldErrors).map(([field, faults]) => `${field}: ${faults.join("; ")}`);
  return ["The arguments are not valid.", ...formErrors, ...fields].join("\n");
}
