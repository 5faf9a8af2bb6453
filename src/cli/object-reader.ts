/** Reads one object after the other, character by character, up to the bracket that closes it. Each character is given to it once. */

/** The longest object that is parsed, in UTF-16 units: the text of an object is held in memory whole. No CLI's result is longer. */
const LONGEST_OBJECT = 16_000_000;

/**
 * An object with more brackets and commas than these, outside of its strings, is passed over: parsing it takes one turn of the event loop, in
 * which the service answers nobody. The slowest, 100,000 different names, takes 60 ms. No model writes more values.
 */
const MOST_VALUES = 100_000;

const STOPS_IN_STRING = /["\\\n]/g;

/** The object that is being read. */
export interface ObjectReader {
  /** An object begins. */
  open(): void;
  isInString(): boolean;
  /** The next character of `piece` that matters in a string: looking at each one took twice as long for 37 MB of messages. */
  nextStopInString(piece: string, from: number): number;
  /** Reads one character, and says whether it closes the object. The first one is the bracket that opens it. */
  read(character: string): boolean;
  /** A line has ended in the object, or behind what is left of one that was cut off. */
  endLine(): void;
  /** Keeps the text that was read, up to the end of a piece or of the object. */
  keep(more: string): void;
  /** The text of the object; undefined where it is too long, has too many values, or cannot be JSON. Such an object is read to its end, too. */
  text(): string | undefined;
}

export function createObjectReader(): ObjectReader {
  let text = "";
  /** How many of the brackets are open. */
  let depth = 0;
  let values = 0;
  let isInString = false;
  let isEscaped = false;
  let isPassedOver = false;

  function readInString(character: string): void {
    if (isEscaped) isEscaped = false;
    else if (character === "\\") isEscaped = true;
    else if (character === '"') isInString = false;
  }

  function readOutsideOfStrings(character: string): void {
    if (character === '"') isInString = true;
    else if (character === "{" || character === "[") {
      depth += 1;
      values += 1;
    } else if (character === "}" || character === "]") depth -= 1;
    else if (character === ",") values += 1;
    if (values > MOST_VALUES) isPassedOver = true;
  }

  return {
    open() {
      text = "";
      depth = 0;
      values = 0;
      isPassedOver = false;
    },
    isInString: () => isInString,
    nextStopInString(piece, from) {
      if (isEscaped) return from;
      STOPS_IN_STRING.lastIndex = from;
      return STOPS_IN_STRING.test(piece) ? STOPS_IN_STRING.lastIndex - 1 : piece.length;
    },
    read(character) {
      if (isInString) readInString(character);
      else readOutsideOfStrings(character);
      return depth === 0;
    },
    endLine() {
      // No string of JSON goes on behind a line.
      if (isInString) isPassedOver = true;
      isInString = false;
      isEscaped = false;
    },
    keep(more) {
      isPassedOver ||= text.length + more.length > LONGEST_OBJECT;
      text = isPassedOver ? "" : text + more;
    },
    text: () => (isPassedOver ? undefined : text),
  };
}
