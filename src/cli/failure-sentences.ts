import type { ErrorKind } from "../db/kinds.ts";

const ENDS: Partial<Record<ErrorKind, string>> = {
  max_turns: "ended at its limit of turns",
  budget_exceeded: "ended at its limit of dollars",
  parse_error: "gave no answer that fits the schema, however often it tried",
  prompt_too_long: "ended, since the prompt is too long",
  rate_limited: "ended at its account's limit",
  auth: "ended, since its login is missing or not valid",
  invalid_input: "ended, since what it was given is not valid",
};

/** The sentence for a failure whose kind the CLI tells in a field and for which it has no words; undefined for a kind that says nothing more. */
export function sentenceOf(cli: string, kind: ErrorKind | undefined): string | undefined {
  const end = kind && ENDS[kind];
  return end && `${cli} ${end}.`;
}
