import { stripVTControlCharacters } from "node:util";
import type { ErrorKind } from "../db/kinds.ts";
import { saysCannotRun } from "../unrunnable-command.ts";
import { readClaude } from "./claude.ts";
import { readCodex } from "./codex.ts";
import { createJsonFinder } from "./find-json.ts";
import { readGemini } from "./gemini.ts";
import { kindOfLastWords } from "./known-messages.ts";
import { readOpencode } from "./opencode.ts";
import type { CliFailure, CliName, CliReader, CliReading } from "./reader-types.ts";

const READERS: Record<CliName, () => CliReader> = {
  claude: readClaude,
  codex: readCodex,
  gemini: readGemini,
  opencode: readOpencode,
};

/** How the command ended. */
export interface CliExit {
  /**
   * The exit code as a shell has it: 128 and the signal's number where a signal ended the CLI. Null: it is not known, or the worker ended the
   * CLI.
   */
  code: number | null;
  /** The last words of its standard error. */
  stderr: string;
  /** What the worker says of a failure, which counts where the output itself does not tell. */
  kind?: ErrorKind | null;
}

/**
 * Reads what a CLI printed on standard output, piece by piece, in memory bounded by its longest object, and in bounded turns of the event loop
 * (find-json.ts). What it printed decides before its exit code: a failure may come with code 0, and a result with another.
 */
export async function readCli(
  name: CliName,
  output: Iterable<string> | AsyncIterable<string>,
  { code, stderr, kind }: CliExit,
): Promise<CliReading> {
  const reader = READERS[name]();
  let hasSpoken = false;
  const finder = createJsonFinder((value) => {
    hasSpoken = true;
    reader.take(value);
  });
  // A CLI that says nothing in JSON, or ends before its result, may say in plain words why it failed.
  let words = "";
  for await (const piece of output) {
    await finder.write(piece);
    words = (words + piece).slice(-LAST_WORDS);
  }
  finder.end();

  const { text, failure, ...rest } = reader.end();
  const clean = text === null ? null : stripVTControlCharacters(text);
  if (!failure) return { ...rest, text: clean, failure: undefined };
  const inPlainWords = !hasSpoken ? words : failure.isUnexplained ? plainEndOf(words) : "";
  const lastWords = stripVTControlCharacters(`${inPlainWords}\n${stderr}`).trim();
  return { ...rest, text: clean, failure: explained(failure, lastWords, code, kind) };
}

/** The failure with what its last words, its exit code and the worker say, where the JSON itself did not tell. */
function explained(
  { isUnexplained, message, ...told }: CliFailure,
  lastWords: string,
  code: CliExit["code"],
  kind: CliExit["kind"],
): CliFailure {
  const known = told.kind || kind ? undefined : kindOfLastWords(lastWords);
  return {
    ...told,
    message: stripVTControlCharacters(isUnexplained && lastWords !== "" ? lastWords : message),
    kind: told.kind ?? kind ?? known?.kind ?? kindOfExit(code),
    ...(known?.resetsAtMs && { resetsAtMs: known.resetsAtMs }),
  };
}

/** The lines behind the last JSON in the end of an output. Where the end has been cut off from the rest, its first line may be JSON, too. */
function plainEndOf(words: string): string {
  const lines = words.trimEnd().split("\n");
  const lastJson = lines.findLastIndex((line, n) => JSON_LINE.test(line) || (n === 0 && words.length === LAST_WORDS));
  return lines.slice(lastJson + 1).join("\n");
}
const JSON_LINE = /^\s*[{}[\]"]/;

function kindOfExit(code: number | null): ErrorKind | undefined {
  if (code === null) return undefined;
  if (saysCannotRun(code)) return "no_cli";
  return code === 0 ? "parse_error" : "crashed";
}

const LAST_WORDS = 4_000;
