const NEWLINE = 0x0a;

/**
 * Cuts bytes into lines, without their ends; what follows the last end is a line too, unless it is empty. Node's readline would also cut at U+2028,
 * which is text in what PostgreSQL writes.
 */
export async function* byLines(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  for await (const part of bytes) {
    let from = 0;
    for (let end = part.indexOf(NEWLINE); end >= 0; end = part.indexOf(NEWLINE, from)) {
      const rest = part.subarray(from, end);
      yield begun.length === 0 ? rest : Buffer.concat([...begun, rest]);
      begun = [];
      from = end + 1;
    }
    if (from < part.length) begun.push(part.subarray(from));
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}
