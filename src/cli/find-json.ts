import { setImmediate as nextTurn } from "node:timers/promises";

/** A longer line is passed over, since it would be held in memory whole. No CLI's result is so long. In UTF-16 units. */
const LONGEST_LINE = 16_000_000;

/**
 * JSON with more brackets, commas and lines than these, outside of its strings, is passed over: parsing it takes one turn of the event loop,
 * in which the service answers nobody. No model writes so many values.
 */
const MOST_VALUES = 100_000;

/** After so many lines that look like JSON and are none, no more JSON is found: 10 MB of such lines took 16 s, most of it for the errors thrown. */
const MOST_FAULTS = 100_000;

/** After so many characters, or so many lines, other work of the event loop has its turn. */
const TURN_CHARACTERS = 100_000;
const TURN_LINES = 1_000;

/**
 * Finds the JSON objects in a CLI's output, given piece by piece: one a line, an array of them, or one that is spread over lines. Anything
 * else in between (banners, warnings, a line that is cut off at the end) is passed over. What is spread over lines is parsed once, when its brackets
 * are closed: 600 KB of brackets that were parsed again at each closing one took 16 s, in which the service answered nobody.
 */
export function createJsonFinder(found: (value: Record<string, unknown>) => void) {
  let line = "";
  let isTooLong = false;
  /** An object or array that began on an earlier line, how many of its brackets are still open, and how many values it has. */
  let open = "";
  let depth = 0;
  let values = 0;
  /** What was read in this turn of the event loop. */
  let characters = 0;
  let lines = 0;
  let faults = 0;

  function parsed(text: string): unknown {
    const whole = faults < MOST_FAULTS ? wholeValueIn(text) : undefined;
    try {
      return whole && JSON.parse(whole);
    } catch {
      faults += 1;
      return undefined;
    }
  }

  /** Arrays within arrays are passed over: no CLI prints them, and following a million levels of them would end in a full stack. */
  function take(value: unknown): void {
    for (const inner of Array.isArray(value) ? value : [value])
      if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) found({ ...inner });
  }

  /** Gives whether other work shall have its turn now. */
  function endLine(): boolean {
    readLine(line);
    characters += line.length;
    lines += 1;
    line = "";
    isTooLong = false;
    if (characters < TURN_CHARACTERS && lines < TURN_LINES) return false;
    characters = 0;
    lines = 0;
    return true;
  }

  function readLine(text: string): void {
    if (/^[[{]/.test(text) || (open === "" && /^\s+[[{]/.test(text))) {
      const value = parsed(text);
      take(value);
      [open, depth, values] = ["", 0, 0];
      if (value === undefined) goOn(text);
    } else if (open !== "") {
      goOn(`\n${text}`);
      if (depth <= 0) take(parsed(open));
    }
    if (depth <= 0 || open.length > LONGEST_LINE || values > MOST_VALUES) open = "";
  }

  function goOn(text: string): void {
    const more = countOutsideStrings(text);
    open += text;
    depth += more.leftOpen;
    values += more.values;
  }

  function append(text: string): void {
    isTooLong ||= line.length + text.length > LONGEST_LINE;
    if (isTooLong) line = "";
    else line += text;
  }

  return {
    /** The next piece of the output. Wait for it before the next one. */
    async write(piece: string): Promise<void> {
      let from = 0;
      for (let end = piece.indexOf("\n"); end !== -1; end = piece.indexOf("\n", from)) {
        append(piece.slice(from, end));
        from = end + 1;
        if (endLine()) await nextTurn();
      }
      append(piece.slice(from));
    },
    /** The output has ended. */
    async end(): Promise<void> {
      if (endLine()) await nextTurn();
    },
  };
}

const [QUOTE, BACKSLASH, BRACKET, BRACE, CLOSING_BRACKET, CLOSING_BRACE, COMMA, LINE_FEED] = Buffer.from('"\\[{]},\n');

/**
 * How many more brackets the text opens than it closes, and how many values it has at most. It is read until these are too many. No string of JSON
 * goes on behind a line.
 */
function countOutsideStrings(text: string): { leftOpen: number; values: number } {
  let leftOpen = 0;
  let values = 0;
  let isInString = false;
  for (let at = 0; at < text.length && values <= MOST_VALUES; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isInString = !isInString;
    else if (isInString) at += code === BACKSLASH ? 1 : 0;
    else if (code === BRACKET || code === BRACE) {
      leftOpen += 1;
      values += 1;
    } else if (code === CLOSING_BRACKET || code === CLOSING_BRACE) leftOpen -= 1;
    else if (code === COMMA || code === LINE_FEED) values += 1;
  }
  return { leftOpen, values };
}

/**
 * The text without what may stand around a value; undefined where it is no value, not yet, or one of too many values. Whether the last bracket can be
 * that of the first is looked at here: five million lines of an opening bracket took 29 s with an error thrown for each.
 */
function wholeValueIn(text: string): string | undefined {
  // In an array with an item on each line, a comma follows the item.
  const whole = text.trim().replace(/,$/, "");
  if (whole.at(-1) !== (whole.startsWith("{") ? "}" : "]")) return undefined;
  return whole.length > MOST_VALUES && countOutsideStrings(whole).values > MOST_VALUES ? undefined : whole;
}
