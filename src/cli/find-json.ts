/** A longer line is passed over, since it would be held in memory whole. No CLI's result is so long. In UTF-16 units. */
const LONGEST_LINE = 16_000_000;

/**
 * Finds the JSON objects in a CLI's output, given piece by piece: one a line, an array of them, or one that is spread over lines. Anything
 * else in between (banners, warnings, a line that is cut off at the end) is passed over. What is spread over lines is parsed once, when its brackets
 * are closed: 600 KB of brackets that were parsed again at each closing one took 16 s, in which the service answered nobody.
 */
export function createJsonFinder(found: (value: Record<string, unknown>) => void) {
  let line = "";
  let isTooLong = false;
  /** An object or array that began on an earlier line, and how many of its brackets are still open. */
  let open = "";
  let depth = 0;

  /** Arrays within arrays are passed over: no CLI prints them, and following a million levels of them would end in a full stack. */
  function take(value: unknown): void {
    for (const inner of Array.isArray(value) ? value : [value])
      if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) found({ ...inner });
  }

  function endLine(): void {
    const text = isTooLong ? "" : line;
    [line, isTooLong] = ["", false];
    if (/^[[{]/.test(text) || (open === "" && /^\s+[[{]/.test(text))) {
      const value = parsed(text);
      take(value);
      [open, depth] = value === undefined ? [text, bracketsLeftOpen(text)] : ["", 0];
    } else if (open !== "") {
      open += `\n${text}`;
      depth += bracketsLeftOpen(text);
      if (depth <= 0) take(parsed(open));
    }
    if (depth <= 0 || open.length > LONGEST_LINE) open = "";
  }

  return {
    /** The next piece of the output. */
    write(piece: string): void {
      const [first = "", ...others] = piece.split("\n");
      append(first);
      for (const next of others) {
        endLine();
        append(next);
      }
    },
    /** The output has ended. */
    end: endLine,
  };

  function append(text: string): void {
    isTooLong ||= line.length + text.length > LONGEST_LINE;
    if (isTooLong) line = "";
    else line += text;
  }
}

/** How many more brackets the line opens than it closes, without those in its strings. No string of JSON goes on behind a line. */
function bracketsLeftOpen(line: string): number {
  let open = 0;
  let isInString = false;
  for (let at = 0; at < line.length; at++) {
    const character = line[at];
    if (character === '"') isInString = !isInString;
    else if (isInString) at += character === "\\" ? 1 : 0;
    else if (character === "[" || character === "{") open += 1;
    else if (character === "]" || character === "}") open -= 1;
  }
  return open;
}

/**
 * The value that the text is; undefined where it is none, or not yet. Whether the last bracket can be that of the first is looked at before: five
 * million lines of an opening bracket took 29 s with an error thrown for each.
 */
function parsed(text: string): unknown {
  // In an array with an item on each line, a comma follows the item.
  const whole = text.trim().replace(/,$/, "");
  if (whole.at(-1) !== (whole.startsWith("{") ? "}" : "]")) return undefined;
  try {
    return JSON.parse(whole);
  } catch {
    return undefined;
  }
}
