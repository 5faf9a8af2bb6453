import { open } from "node:fs/promises";
import { pause } from "../abort-signals.ts";
import { beginningInJson } from "../bytes-in-json.ts";
import type { RuntimeClient, Work } from "./runtime-client.ts";

const EVERY_MS = 1_000;
const SEND_WITHIN_MS = 5_000;
/** What the runtime takes in a piece, and keeps of a task. */
const PIECE_BYTES = 64 * 1024;
const TAIL_BYTES = 256 * 1024;
/** What a piece may take in JSON, where a control character takes six bytes. The runtime takes a body of 100 KB, with the other fields. */
const PIECE_JSON_BYTES = 96 * 1024;
/** The runtime cannot take the piece just now, or does not know the key for the moment: the heartbeats see to that. */
const PASSING = new Set([401, 408, 429]);

/**
 * Sends what the command prints into `file`, at most each second, for people to look at while it runs. Of more than the runtime keeps, the end is
 * sent. It stops when `over` is aborted, and when the runtime does not take it, since live output is off or unknown there. Never rejects: nothing
 * depends on it.
 */
export async function sendLiveOutput(
  client: RuntimeClient,
  { task, lease }: Work,
  file: string,
  over: AbortSignal,
): Promise<void> {
  const decoder = new TextDecoder();
  let [position, seq, unsent] = [0, 0, ""];
  while (!over.aborted) {
    await pause(EVERY_MS, over);
    if (over.aborted) return;
    try {
      if (unsent === "") {
        const { bytes, end } = await readFrom(file, position);
        position = end;
        // A character may have been cut in two; its end comes with the next piece. PostgreSQL stores no NUL.
        unsent = decoder.decode(bytes, { stream: true }).replaceAll("\0", "\ufffd");
      }
      if (unsent === "") continue;
      const text = beginningInJson(unsent, PIECE_JSON_BYTES);
      const piece = { id: task.id, lease_id: lease.id, seq, text };
      const answer = await client.ask(
        (runtime, signal) => runtime.addLiveOutput(piece, { signal }),
        SEND_WITHIN_MS,
        over,
      );
      if (answer.ok) [unsent, seq] = [unsent.slice(text.length), seq + 1];
      else if (answer.status >= 400 && answer.status < 500 && !PASSING.has(answer.status)) return;
    } catch {
      // The file is away: the next second tells.
    }
  }
}

async function readFrom(file: string, position: number): Promise<{ bytes: Buffer; end: number }> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = Math.max(position, size - TAIL_BYTES);
    const buffer = Buffer.alloc(Math.min(PIECE_BYTES, Math.max(0, size - start)));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    return { bytes: buffer.subarray(0, bytesRead), end: start + bytesRead };
  } finally {
    await handle.close();
  }
}
