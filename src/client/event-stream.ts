/** Server-Sent Events read with fetch, since `EventSource` cannot send a key in a header. */

/** One block of a stream. Without `data` it is a comment, or only says where the reader is. */
export interface Block {
  id?: string;
  event?: string;
  data?: string;
}

/** The blocks of a stream as they come. Rejects when nothing has come for `silenceMs`, or the connection breaks. */
export async function* blocksIn(body: ReadableStream<Uint8Array>, silenceMs: number): AsyncGenerator<Block, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read());
      if (done) return;
      const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = blocks.pop() ?? "";
      yield* blocks.map(blockOf);
    }
  } finally {
    // The connection may be broken already.
    await reader.cancel().catch(() => {});
  }
}

function blockOf(text: string): Block {
  const fields = text.split("\n").map((line) => line.split(/: ?(.*)/, 2));
  return Object.fromEntries(fields.filter(([name]) => name !== ""));
}

async function within<Value>(milliseconds: number, promise: Promise<Value>): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Nothing has come for ${milliseconds} ms.`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
