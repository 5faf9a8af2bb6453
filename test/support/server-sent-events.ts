/** The blocks of a stream of Server-Sent Events, one after the other as they come; comments are blocks too. */
export async function* eventBlocks({ body }: Response): AsyncGenerator<string> {
  let text = "";
  for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (text + piece).split("\n\n");
    text = blocks.pop() ?? "";
    yield* blocks;
  }
}
