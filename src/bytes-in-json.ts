/** How many bytes the text takes within a JSON string (ECMA-262, QuoteJSONString) in UTF-8. */
export function bytesInJson(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20) bytes += SHORT_ESCAPES.has(code) ? 2 : 6;
    else if (code < 0x80) bytes += code === QUOTE || code === BACKSLASH ? 2 : 1;
    else if (code < 0x800) bytes += 2;
    else if (code < 0xd800 || code > 0xdfff) bytes += 3;
    else if (code < 0xdc00 && isLowSurrogate(text.charCodeAt(at + 1))) {
      bytes += 4;
      at++;
    } else bytes += 6;
  }
  return bytes;
}

/** The longest beginning of the text that takes `most` bytes within a JSON string. It cuts no character in two. */
export function beginningInJson(text: string, most: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += bytesInJson(character);
    if (bytes > most) break;
    end += character.length;
  }
  return text.slice(0, end);
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** \b, \t, \n, \f and \r. */
const SHORT_ESCAPES = new Set([8, 9, 10, 12, 13]);
const isLowSurrogate = (code: number) => code >= 0xdc00 && code <= 0xdfff;
