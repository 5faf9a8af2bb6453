import type { Socket } from "node:net";

/** Answers that may wait to be read, in bytes of all connections. A page of records has 8 MB at most. */
const MOST_UNREAD_BYTES = 256_000_000;

/** A client that reads an answer of 8 MB steadily, at this many bytes a millisecond, is not cut: what it takes of one write is not seen. */
const READ_BYTES_PER_MS = 20;

interface Unread {
  socket: Socket;
  /** How many bytes the client has taken so far, as far as the socket shows it, and since when that number is unchanged. */
  taken: number;
  since: number;
}

/**
 * Gives a function to be called every second or so, which cuts connections of `open` on which an answer waits to be read: those that have taken
 * nothing for `withinMs`, or for as long as a large answer takes; and where all answers together are more than `mostBytes`, those that have taken
 * nothing for longest. 200 connections with a page each held 700 MB without end.
 */
export function createUnreadAnswersLook(
  open: { keys(): Iterable<Socket> },
  withinMs: number,
  { mostBytes = MOST_UNREAD_BYTES, bytesPerMs = READ_BYTES_PER_MS } = {},
): () => void {
  let unread = new Map<Socket, Unread>();
  return () => {
    const now = performance.now();
    const next = new Map<Socket, Unread>();
    let bytes = 0;
    for (const socket of open.keys()) {
      if (socket.writableLength === 0) continue;
      const taken = socket.bytesWritten - socket.writableLength;
      const before = unread.get(socket);
      next.set(socket, before?.taken === taken ? before : { socket, taken, since: now });
      bytes += socket.writableLength;
    }
    unread = next;
    for (const { socket, since } of [...unread.values()].toSorted((a, b) => a.since - b.since)) {
      const isLate = now - since > Math.max(withinMs, socket.writableLength / bytesPerMs);
      if (!isLate && bytes <= mostBytes) continue;
      bytes -= socket.writableLength;
      socket.destroy();
    }
  };
}
