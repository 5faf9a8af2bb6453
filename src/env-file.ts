import { lstatSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { messageOf, StartError } from "./errors.ts";
import { misspeltSettings } from "./misspelt-settings.ts";

/** The byte order marks with which a file may begin, and the encodings that they mean. */
const MARKS: [mark: number[], encoding: string][] = [
  [[0xef, 0xbb, 0xbf], "utf-8"],
  [[0xff, 0xfe], "utf-16le"],
  [[0xfe, 0xff], "utf-16be"],
];
const BYTE_ORDER_MARK = /\uFEFF/g;
const SAVE_IT = "Save it as plain text in UTF-8.";

/** A line, or a setting whose value is in quotes and may go over several lines. */
const STATEMENTS = /^[^=\n#]*=[ \t]*(["'`])[\s\S]*?\1.*$|^.*$/gm;
const SETTING = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*([\s\S]*)$/;
const EMPTY_OR_COMMENT = /^\s*(#|$)/;

/**
 * Puts the settings of the file, if there is one, into `env`; a setting that `env` has already wins. Gives the sentences about names in it that are
 * likely misspelt. The file may be in UTF-8 or, with a byte order mark, in UTF-16, with the line ends of any system. StartError: the file cannot
 * be read whole. If only a part of it were understood, the key might be missing, and everything would be open to everybody.
 */
export function loadEnvFile(env: NodeJS.ProcessEnv, path = ".env"): string[] {
  const bytes = readBytes(path);
  if (!bytes) return [];
  const settings = settingsIn(path, decode(path, bytes).replace(/\r\n?/g, "\n"));
  for (const [name, value] of Object.entries(settings)) env[name] ??= value;
  return misspeltSettings(Object.keys(settings)).map(
    ([name, meant]) => `The file ${path} sets ${name}, which is no setting of this service: did you mean ${meant}?`,
  );
}

/** Node's parser gets each value by itself: of a whole text it makes a line that it does not understand a part of the next name. */
function settingsIn(path: string, text: string): Record<string, string> {
  const settings: Record<string, string> = {};
  let line = 1;
  for (const [statement] of text.matchAll(STATEMENTS)) {
    const [, name, value] = SETTING.exec(statement) ?? [];
    if (name !== undefined) settings[name] = parseEnv(`VALUE=${value}`).VALUE ?? "";
    // The line itself may be a secret.
    else if (!EMPTY_OR_COMMENT.test(statement))
      throw new StartError(
        `Line ${line} of the file ${path} sets nothing. Write NAME=value, or begin the line with # where it is a comment.`,
      );
    line += statement.split("\n").length;
  }
  return settings;
}

/** The file's bytes; undefined when there is no such file. */
function readBytes(path: string): Buffer | undefined {
  // A link to a missing file is there, so that it must be an error.
  if (!lstatSync(path, { throwIfNoEntry: false })) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    const isFolder = error instanceof Error && "code" in error && error.code === "EISDIR";
    const why = isFolder
      ? "it is a folder. Docker makes one where the file that it should mount is missing"
      : messageOf(error);
    throw new StartError(`The file ${path} cannot be read: ${why}. Mend or remove it.`, { cause: error });
  }
}

function decode(path: string, bytes: Buffer): string {
  const [, encoding] = MARKS.find(([mark]) => mark.every((byte, n) => bytes[n] === byte)) ?? [[], "utf-8"];
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    throw new StartError(`The file ${path} is not valid ${encoding.toUpperCase()}. ${SAVE_IT}`, { cause: error });
  }
  if (text.includes("\0"))
    throw new StartError(`The file ${path} is in an encoding without a byte order mark, or no text. ${SAVE_IT}`);
  return text.replace(BYTE_ORDER_MARK, "");
}
