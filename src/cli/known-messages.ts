/**
 * The messages by which CLIs say whether the trouble is an account's, the provider's, or of what the task asks for, such as a model that does not
 * exist. Agents that send no `error_kind`, and CLIs that end with code 0 after such a message, are known by these alone.
 */
import type { ErrorKind } from "../db/kinds.ts";
import { isoTime } from "../format-iso-time.ts";

export interface KnownMessage {
  kind: ErrorKind;
  /** When the limit ends, in epoch milliseconds, where the message says so with a date. */
  resetsAtMs?: number;
}

const RESET_IN_SECONDS = /(\busage limit reached\b[^|\n]{0,40})\|(\d{10})\b/gi;

/** The text with the time at which a limit ends as people read it, in place of epoch seconds: `usage limit reached|1795774743`. */
export const withResetTimes = (message: string): string =>
  message.replace(RESET_IN_SECONDS, (_, limit, seconds) => `${limit} until ${isoTime(Number(seconds) * 1_000)}`);

/** The pattern, the kind, and where in the match the reset stands as epoch seconds. The first that fits counts. */
const MESSAGES: [pattern: RegExp, kind: ErrorKind, reset?: number][] = [
  [/\busage limit reached\b[^|\n]{0,40}\|(\d{10})\b/i, "rate_limited", 1],
  [
    /\b(usage|session|weekly|opus|sonnet|5-hour|five-hour|daily) limit (was |has been )?(reached|exceeded)\b/i,
    "rate_limited",
  ],
  [/\b(hit|reached) (your|the) ([\w-]+ ){0,2}limit\b/i, "rate_limited"],
  [/\bout of (extra )?usage\b/i, "rate_limited"],
  [/\brate_limit_error\b|\bexceed your account's rate limit\b/i, "rate_limited"],
  [/\breached your specified API usage limits\b/i, "rate_limited"],
  [/\b(exceeded|exhausted) your (current |daily )?quota\b|\bRESOURCE_EXHAUSTED\b/i, "rate_limited"],
  [/\binvalid (x-)?api[- ]key\b|\bauthentication_error\b|\bincorrect api key\b/i, "auth"],
  [/\bplease run \/?(claude )?\/?login\b|\bnot logged in\b|\bOAuth token (has )?(expired|been revoked)\b/i, "auth"],
  [/\bcredit balance is too low\b|\borganization has been disabled\b/i, "auth"],
  [/\b(API Error|unexpected status)\b[:( ]{1,3}401\b/i, "auth"],
  [/\boverloaded_error\b/i, "overloaded"],
  [/\bAPI Error\b[:( ]{1,3}(connection error|request timed out|unable to connect|50\d\b)/i, "provider_error"],
  [/\bprompt is too long\b|\bcontext_length_exceeded\b|\brequest_too_large\b/i, "prompt_too_long"],
  // From here on, what none of the messages above explains: an API answers 400 and 403 for accounts without credit or access, too.
  [/\bissue with the selected model\b|\bmodel_not_found\b|\bProviderModelNotFoundError\b/i, "invalid_input"],
  [/\bpermission_error\b[^\n]{0,200}\bmodels?\b/i, "invalid_input"],
  [/\bpermission_error\b[^\n]{0,200}\b(OAuth|organization|account|disabled)\b/i, "auth"],
  [/(\b40[034]\b|"error": ?\{)[\s\S]{0,200}\b(not_found|invalid_request|permission)_error\b/i, "invalid_input"],
];

/** A message is short; an answer that merely speaks of limits is long, or has more lines. */
const LONGEST_MESSAGE = 400;
const MOST_LINES = 4;

/** How much of the end of a text is looked through: the patterns take 0.2 s for 10 MB. */
const MOST_LOOKED_AT = 100_000;

/** What a text that came with a failure says; undefined where it says nothing that is known. */
export function kindOfMessage(message: string): KnownMessage | undefined {
  const text = message.slice(-MOST_LOOKED_AT);
  for (const [pattern, kind, reset] of MESSAGES) {
    const found = pattern.exec(text);
    if (!found) continue;
    const seconds = reset === undefined ? undefined : Number(found[reset]);
    return seconds === undefined ? { kind } : { kind, resetsAtMs: seconds * 1_000 };
  }
  return undefined;
}

/** What the output of a success says, when all of it is such a message; undefined for any other output. */
export function kindOfWholeOutput(output: string): KnownMessage | undefined {
  const text = output.trim();
  if (text === "" || text.length > LONGEST_MESSAGE || text.split("\n").length > MOST_LINES) return undefined;
  const found = kindOfMessage(text);
  // An answer may name a limit in passing; such a message begins with it.
  return found && STARTS.test(text) ? found : undefined;
}

/** A message about the account is the last that a CLI says before it fails. */
const LAST_WORDS = 400;

/** What the last words of a failure say. */
export const kindOfLastWords = (text: string): KnownMessage | undefined => kindOfMessage(text.slice(-LAST_WORDS));

const STARTS =
  /^(error\b|api error\b|claude( ai| code)?( usage| session)?\b|you('|’)?(ve| have)\b|invalid\b|not logged in\b|please run\b|there('|’)s an issue with the selected model\b|credit balance\b|oauth\b|prompt is too long\b|[\w-]+ limit\b|usage limit\b|\{\s*"(error"|type"\s*:\s*"error"))/i;
