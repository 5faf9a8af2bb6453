import { setImmediate as nextTurn } from "node:timers/promises";

/** The longest object that is parsed, in UTF-16 units: the text of an object is held in memory whole. No CLI's result is longer. */
const LONGEST_OBJECT = 16_000_000;

/**
 * An object with more brackets and commas than these, outside of its strings, is passed over: parsing it takes one turn of the event loop, in
 * which the service answers nobody. The slowest, 100,000 different names, takes 60 ms. No model writes more values.
 */
const MOST_VALUES = 100_000;

/**
 * After this number of objects that cannot be parsed, only the output's last object is tried: each of them costs 5 µs for the error thrown, which
 * would be 30 s for 32 MB of them.
 */
const MOST_FAULTS = 100_000;

/** How many UTF-16 units one turn of the event loop reads. Each line and each object counts as LINE_WORK more. */
const TURN_WORK = 100_000;
const LINE_WORK = 100;

const STOPS_IN_STRING = /["\\\n]/g;
const STOPS_IN_OTHER_TEXT = /\n/g;

/**
 * Finds the JSON objects in a CLI's output, given piece by piece: one a line, in an array, or spread over lines. Anything else in between
 * (banners, warnings, a line that is cut off at the end) is passed over. Each character is read once and each object parsed once, when its
 * brackets are closed, so that an array may have any number of objects.
 */
export function createJsonFinder(found: (value: Record<string, unknown>) => void) {
  /** Between objects stand spaces, commas and the brackets of arrays. Behind any other text, the rest of its line is passed over. */
  let place: "between" | "other text" | "object" = "between";
  let isLineStart = true;
  /** The object that is being read: its text in the pieces before this one, and how many of its brackets are open. */
  let text = "";
  let depth = 0;
  let values = 0;
  let isInString = false;
  let isEscaped = false;
  /** The object is too long, has too many values, or cannot be JSON: it is read to its end, and not parsed. */
  let isPassedOver = false;

  /** What was read in this turn of the event loop. */
  let work = 0;
  let faults = 0;
  /** The last object that was not tried, since there were too many faults. */
  let untried: string | undefined;

  function open(): void {
    place = "object";
    text = "";
    depth = 0;
    values = 0;
    isPassedOver = false;
  }

  function close(): void {
    place = "between";
    work += LINE_WORK;
    // An object has a name first, or nothing. Looking at that is cheaper than an error.
    if (isPassedOver || !/^\{\s*["}]/.test(text)) return;
    if (faults >= MOST_FAULTS) untried = text;
    else parse(text);
  }

  function parse(whole: string): void {
    let value: Record<string, unknown>;
    try {
      value = JSON.parse(whole);
    } catch {
      faults += 1;
      return;
    }
    found(value);
  }

  function endLine(): void {
    work += LINE_WORK;
    isLineStart = true;
    if (place === "other text") place = "between";
    // No string of JSON goes on behind a line.
    if (isInString) isPassedOver = true;
    isInString = false;
    isEscaped = false;
  }

  /** The next character that matters in a string or in other text: looking at each one took twice as long for 37 MB of messages. */
  function nextStop(piece: string, from: number): number {
    if (isEscaped) return from;
    const stops = place === "object" ? STOPS_IN_STRING : STOPS_IN_OTHER_TEXT;
    stops.lastIndex = from;
    return stops.test(piece) ? stops.lastIndex - 1 : piece.length;
  }

  /** Reads on in a string. */
  function readInString(character: string): void {
    if (isEscaped) isEscaped = false;
    else if (character === "\\") isEscaped = true;
    else if (character === '"') isInString = false;
  }

  /** Reads on in an object, outside of its strings. */
  function readInObject(character: string): void {
    if (character === '"') isInString = true;
    else if (character === "{" || character === "[") {
      depth += 1;
      values += 1;
    } else if (character === "}" || character === "]") depth -= 1;
    else if (character === ",") values += 1;
    if (values > MOST_VALUES) isPassedOver = true;
  }

  /** Reads the piece from there on, for about one turn of the event loop, and gives how far it came. */
  function read(piece: string, from: number): number {
    let start = from;
    let at = from;
    for (; at < piece.length && work < TURN_WORK; at++, work++) {
      if (!isLineStart && (isInString || place === "other text")) {
        const next = nextStop(piece, at);
        work += next - at;
        at = next;
        if (at === piece.length) break;
      }
      const character = piece.charAt(at);
      if (character === "\n") {
        endLine();
        continue;
      }
      // A bracket in a line's first place begins anew: what was open was cut off.
      if (isLineStart && (character === "{" || character === "[")) place = "between";
      isLineStart = false;
      if (place === "between") {
        if (character === "{") {
          open();
          start = at;
        } else if (!/[\s,[\]]/.test(character)) place = "other text";
      }
      if (place !== "object") continue;
      if (isInString) readInString(character);
      else readInObject(character);
      if (depth === 0) {
        keep(piece.slice(start, at + 1));
        close();
      }
    }
    if (place === "object") keep(piece.slice(start, at));
    return at;
  }

  function keep(more: string): void {
    isPassedOver ||= text.length + more.length > LONGEST_OBJECT;
    text = isPassedOver ? "" : text + more;
  }

  return {
    /** Reads the next piece of the output. Await this call before the next one. */
    async write(piece: string): Promise<void> {
      for (let at = 0; at < piece.length; ) {
        at = read(piece, at);
        if (work < TURN_WORK) continue;
        work = 0;
        await nextTurn();
      }
    },
    /** The output has ended. */
    end(): void {
      if (untried !== undefined) parse(untried);
    },
  };
}
