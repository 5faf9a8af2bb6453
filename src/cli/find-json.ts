import { setImmediate as nextTurn } from "node:timers/promises";
import { createObjectReader } from "./object-reader.ts";

/**
 * After this number of objects that cannot be parsed, only the output's last object is tried: each of them costs 5 µs for the error thrown, which
 * would be 30 s for 32 MB of them.
 */
const MOST_FAULTS = 100_000;

/** How many UTF-16 units one turn of the event loop reads. Each line and each object counts as LINE_WORK more. */
const TURN_WORK = 100_000;
const LINE_WORK = 100;

/**
 * Finds the JSON objects in a CLI's output, given piece by piece: one a line, in an array, or spread over lines. Anything else in between
 * (banners, warnings, a line that is cut off at the end) is passed over. Each character is read once and each object parsed once, when its
 * brackets are closed, so that an array may have any number of objects.
 */
export function createJsonFinder(found: (value: Record<string, unknown>) => void) {
  const object = createObjectReader();
  const parser = createParser(found);
  /** Between objects stand spaces, commas and the brackets of arrays. Behind any other text, the rest of its line is passed over. */
  let within: "between" | "other text" | "object" = "between";
  let isLineStart = true;
  /** What was read in this turn of the event loop. */
  let work = 0;

  function endLine(): void {
    work += LINE_WORK;
    isLineStart = true;
    if (within === "other text") within = "between";
    object.endLine();
  }

  /** The next character that matters, from `from` on: in a string or in other text, most do not. */
  function nextStop(piece: string, from: number): number {
    if (isLineStart) return from;
    if (object.isInString()) return object.nextStopInString(piece, from);
    if (within !== "other text") return from;
    const lineEnd = piece.indexOf("\n", from);
    return lineEnd < 0 ? piece.length : lineEnd;
  }

  /** Looks whether an object begins with this character, where none is open. */
  function lookForObject(character: string): void {
    if (character === "{") {
      within = "object";
      object.open();
    } else if (!/[\s,[\]]/.test(character)) within = "other text";
  }

  function closeObject(): void {
    within = "between";
    work += LINE_WORK;
    parser.parse(object.text());
  }

  /** Reads the piece from there on, for about one turn of the event loop, and gives how far it came. */
  function read(piece: string, from: number): number {
    let start = from;
    let at = from;
    for (; at < piece.length && work < TURN_WORK; at++, work++) {
      const next = nextStop(piece, at);
      work += next - at;
      at = next;
      if (at === piece.length) break;
      const character = piece.charAt(at);
      if (character === "\n") {
        endLine();
        continue;
      }
      // A bracket in a line's first place begins anew: what was open was cut off.
      if (isLineStart && (character === "{" || character === "[")) within = "between";
      isLineStart = false;
      if (within === "between") {
        lookForObject(character);
        start = at;
      }
      if (within !== "object" || !object.read(character)) continue;
      object.keep(piece.slice(start, at + 1));
      closeObject();
    }
    if (within === "object") object.keep(piece.slice(start, at));
    return at;
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
    end: () => parser.end(),
  };
}

/** Parses the texts of objects, and gives `found` those that are JSON. */
function createParser(found: (value: Record<string, unknown>) => void) {
  let faults = 0;
  /** The last object that was not tried, since there were too many faults. */
  let untried: string | undefined;

  function tryToParse(text: string): void {
    let value: Record<string, unknown>;
    try {
      value = JSON.parse(text);
    } catch {
      faults += 1;
      return;
    }
    found(value);
  }

  return {
    parse(text: string | undefined): void {
      // An object has a name first, or nothing. Looking at that is cheaper than an error.
      if (text === undefined || !/^\{\s*["}]/.test(text)) return;
      if (faults >= MOST_FAULTS) untried = text;
      else tryToParse(text);
    },
    end(): void {
      if (untried !== undefined) tryToParse(untried);
    },
  };
}
