import { stripVTControlCharacters } from "node:util";
import { readClaude } from "./claude.ts";
import { readCodex } from "./codex.ts";
import { readGemini } from "./gemini.ts";
import { createJsonFinder } from "./json-values.ts";
import { kindOfMessage } from "./known-messages.ts";
import { readOpencode } from "./opencode.ts";
import type { CliName, CliReader, CliReading } from "./reading.ts";

const READERS: Record<CliName, () => CliReader> = {
  claude: readClaude,
  codex: readCodex,
  gemini: readGemini,
  opencode: readOpencode,
};

/** How the command ended. */
export interface CliExit {
  /** Null: a signal ended it. */
  code: number | null;
  /** The last words of its standard error. */
  stderr: string;
}

/** A shell's codes for a command that cannot be run. */
const CANNOT_RUN = new Set([126, 127]);

/**
 * Reads what a CLI printed on standard output, piece by piece, in memory bounded by its longest line. What it printed decides before its exit
 * code: a failure may come with code 0, and a result with another.
 */
export async function readCli(
  name: CliName,
  output: Iterable<string> | AsyncIterable<string>,
  { code, stderr }: CliExit,
): Promise<CliReading> {
  const reader = READERS[name]();
  let hasSpoken = false;
  const finder = createJsonFinder((value) => {
    hasSpoken = true;
    reader.take(value);
  });
  // A CLI that says nothing in JSON says why it failed in plain words.
  let words = "";
  for await (const piece of output) {
    finder.write(piece);
    words = (words + piece).slice(-LAST_WORDS);
  }
  finder.end();

  const { text, failure, ...rest } = reader.end();
  const clean = text === null ? null : stripVTControlCharacters(text);
  if (!failure) return { ...rest, text: clean, failure: undefined };
  const said = stripVTControlCharacters(hasSpoken ? stderr : `${words}\n${stderr}`).trim();
  const known = failure.kind ? undefined : kindOfMessage(said);
  const exitKind = CANNOT_RUN.has(code ?? 0) ? "no_cli" : code === 0 ? "parse_error" : "crashed";
  const message = stripVTControlCharacters(hasSpoken || said === "" ? failure.message : said);
  return {
    ...rest,
    text: clean,
    failure: {
      ...failure,
      message,
      kind: failure.kind ?? known?.kind ?? exitKind,
      ...(known?.resetsAtMs && { resetsAtMs: known.resetsAtMs }),
    },
  };
}

const LAST_WORDS = 4_000;
