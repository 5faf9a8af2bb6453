/** A longer line is passed over, since it would be held in memory whole. No CLI's result is so long. In UTF-16 units. */
const LONGEST_LINE = 16_000_000;
/**
 * An object that is spread over lines is parsed again at each closing bracket at the start of a line. This bounds the total length of these
 * attempts, in UTF-16 units: a hostile output could have millions of such brackets.
 */
const MOST_PARSED_AGAIN = 64_000_000;

/**
 * Finds the JSON objects in a CLI's output, given piece by piece: one a line, an array of them, or one that is spread over lines. Anything
 * else in between (banners, warnings, a line that is cut off at the end) is passed over.
 */
export function createJsonFinder(found: (value: Record<string, unknown>) => void) {
  let line = "";
  let isTooLong = false;
  /** An object or array that began on an earlier line. */
  let open = "";
  let parsedAgain = 0;

  /** Arrays within arrays are passed over: no CLI prints them, and following a million levels of them would end in a full stack. */
  function take(value: unknown): void {
    for (const inner of Array.isArray(value) ? value : [value])
      if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) found({ ...inner });
  }

  function endLine(): void {
    const text = isTooLong ? "" : line;
    [line, isTooLong] = ["", false];
    const isAtMargin = /^[[{]/.test(text);
    if (isAtMargin || (open === "" && /^\s+[[{]/.test(text))) {
      const value = parsed(text);
      open = value === undefined ? text : "";
      take(value);
    } else if (open !== "" && open.length < LONGEST_LINE) {
      open += `\n${text}`;
      if (!/^[\]}]/.test(text)) return;
      parsedAgain += open.length;
      if (parsedAgain > MOST_PARSED_AGAIN) return;
      const value = parsed(open);
      if (value !== undefined) open = "";
      take(value);
    }
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON, or not yet: that is the answer.
    return undefined;
  }
}
