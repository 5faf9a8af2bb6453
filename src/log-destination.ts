/** Writes the log to standard output. A log that cannot be written neither stops the service nor keeps it from ending. */
import { fstatSync, writeSync } from "node:fs";
import type { DestinationStream } from "pino";
import { messageOf } from "./errors.ts";

/** Lines are collected and written together, since requests would wait for each system call. What is more than this is not collected further. */
const BATCH_BYTES = 4_096;
const FLUSH_EVERY_MS = 100;
/** How much may wait while a disk is full or a reader is slow. Further lines are dropped and counted. */
const MOST_WAITING_BYTES = 1024 * 1024;
/** How long a slow reader may take for the last lines. */
const LAST_LINES_MS = 1_000;
const STDOUT = 1;
/** PIPE_BUF on Linux. */
const WHOLE_BYTES = 4_096;

export interface LogDestination extends DestinationStream {
  /** Calls `done` when everything is written or cannot be written, at the latest after a second. Pino calls this as `log.flush(done)`. */
  flush(done: () => void): void;
}

/** Takes the log's lines. When lines can be written again after some were dropped, `onLost` gets the number of dropped lines. */
export function openLogDestination(onLost: (lines: number) => void): LogDestination {
  const output = openOutput();
  let waiting = "";
  let lost = 0;
  const writeWaiting = () => {
    if (waiting === "" && !output.isBusy()) return;
    if (!output.write(waiting)) return;
    waiting = "";
    if (lost === 0) return;
    const lines = lost;
    lost = 0;
    onLost(lines);
  };
  setInterval(writeWaiting, FLUSH_EVERY_MS).unref();
  process.on("exit", writeWaiting);
  return {
    write(line) {
      // While nothing can be written, only the timer tries.
      if (waiting.length + line.length > BATCH_BYTES && !output.isBusy()) writeWaiting();
      if (waiting.length >= MOST_WAITING_BYTES) lost++;
      else waiting += line;
    },
    flush(done) {
      const until = performance.now() + LAST_LINES_MS;
      const look = () => {
        writeWaiting();
        const isOver = waiting === "" && !output.isBusy();
        if (isOver || output.isBroken() || performance.now() > until) done();
        else setTimeout(look, 10);
      };
      look();
    },
  };
}

interface Output {
  /** False when the lines cannot be taken now; the caller tries again later. */
  write(lines: string): boolean;
  /** True while lines that were taken are not written yet, or when the last attempt failed. */
  isBusy(): boolean;
  /** True when waiting does not help: nothing more can be written now. */
  isBroken(): boolean;
}

function openOutput(): Output {
  const failed = createNotice();
  const kind = fstatSync(STDOUT);
  return kind.isFIFO() || kind.isSocket() ? openPipe(failed) : openFile(failed);
}

/**
 * Node writes to a pipe without waiting for its reader. Node's stream ends at the first failure, which is right for a pipe: its reader has gone.
 * Where several processes have the pipe, a write that is longer than what it can take at that moment may be torn, and the rest come after a line of
 * another process. A pipe takes 4 KB whole or not at all, so that not more is written at a time.
 */
function openPipe(failed: (error: unknown) => void): Output {
  let isBroken = false;
  let unwritten = Buffer.alloc(0);
  process.stdout.on("error", (error) => {
    isBroken = true;
    failed(error);
  });
  const isBusy = () => !isBroken && (unwritten.length > 0 || process.stdout.writableLength > 0);
  const writeUnwritten = (error?: Error | null) => {
    if (error) unwritten = Buffer.alloc(0);
    if (unwritten.length === 0) return;
    const end = wholeLinesIn(unwritten);
    const part = unwritten.subarray(0, end);
    unwritten = unwritten.subarray(end);
    process.stdout.write(part, writeUnwritten);
  };
  return {
    write(lines) {
      if (isBusy()) return false;
      if (isBroken) return true;
      unwritten = Buffer.from(lines);
      writeUnwritten();
      return true;
    },
    isBusy,
    isBroken: () => isBroken,
  };
}

/** How many bytes of `lines` are whole lines that a pipe takes at once; of a line that is longer than that, all. */
function wholeLinesIn(lines: Buffer): number {
  if (lines.length <= WHOLE_BYTES) return lines.length;
  const end = lines.lastIndexOf("\n", WHOLE_BYTES - 1);
  return (end < 0 ? lines.indexOf("\n") : end) + 1;
}

/** Writes to a file without Node's stream, which would end at the first failure: writing goes on when the disk has space again. */
function openFile(failed: (error: unknown) => void): Output {
  /** Bytes that were taken and are not written yet. */
  let unwritten = Buffer.alloc(0);
  let hasFailed = false;
  const writeUnwritten = () => {
    try {
      while (unwritten.length > 0) unwritten = unwritten.subarray(writeSync(STDOUT, unwritten));
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) failed(error);
      hasFailed = true;
    }
    return !hasFailed;
  };
  return {
    write(lines) {
      if (!writeUnwritten()) return false;
      unwritten = Buffer.from(lines);
      writeUnwritten();
      return true;
    },
    isBusy: () => hasFailed,
    isBroken: () => hasFailed,
  };
}

/** Says on standard error that the log cannot be written. When that fails too, there is no other place to say it. */
function createNotice(): (error: unknown) => void {
  process.stderr.on("error", () => {});
  return (error) =>
    void process.stderr.write(`The log cannot be written: ${messageOf(error)}. The service goes on without it.\n`);
}
