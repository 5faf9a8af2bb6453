/** Standard output as the log's destination: a log that cannot be written neither stops the service nor keeps it from ending. */
import { fstatSync, writeSync } from "node:fs";
import type { DestinationStream } from "pino";
import { messageOf } from "./errors.ts";

/** Lines are written many at a time: each write is a system call that requests would wait for. */
const BATCH_BYTES = 4_096;
const FLUSH_EVERY_MS = 100;
/** What waits for a full disk or a slow reader; later lines are dropped and counted. */
const MOST_WAITING_BYTES = 1024 * 1024;
/** A reader that is slow has so long to take the last lines. */
const LAST_LINES_MS = 1_000;
const STDOUT = 1;

export interface LogDestination extends DestinationStream {
  /** Calls `done` when everything is written, or cannot be, or after a second. Pino calls this as `log.flush(done)`. */
  flush(done: () => void): void;
}

/** Takes the log's lines. `onLost` is told how many lines were dropped, once lines can be written again. */
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
      if (waiting.length >= MOST_WAITING_BYTES) lost++;
      else waiting += line;
      // While nothing can be written, the timer alone tries.
      if (waiting.length >= BATCH_BYTES && !output.isBusy()) writeWaiting();
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
  /** False when it cannot be taken now; it is to be tried again then. */
  write(lines: string): boolean;
  /** True while lines that were taken are not written yet, or the last attempt failed. */
  isBusy(): boolean;
  /** True when nothing more can be written now, however long one waits. */
  isBroken(): boolean;
}

function openOutput(): Output {
  const failed = createNotice();
  const kind = fstatSync(STDOUT);
  return kind.isFIFO() || kind.isSocket() ? openPipe(failed) : openFile(failed);
}

/** Node writes to a pipe without waiting for its reader. Its stream ends at the first failure, which for a pipe is right: the reader has gone. */
function openPipe(failed: (error: unknown) => void): Output {
  let isBroken = false;
  process.stdout.on("error", (error) => {
    isBroken = true;
    failed(error);
  });
  const isBusy = () => !isBroken && process.stdout.writableLength > 0;
  return {
    write(lines) {
      if (isBusy()) return false;
      if (!isBroken) process.stdout.write(lines);
      return true;
    },
    isBusy,
    isBroken: () => isBroken,
  };
}

/** Not through Node's stream, which ends at the first failure: here, writing goes on when the disk has room again. */
function openFile(failed: (error: unknown) => void): Output {
  /** What was taken and is not written yet. */
  let rest = Buffer.alloc(0);
  let hasFailed = false;
  const writeRest = () => {
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(STDOUT, rest));
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) failed(error);
      hasFailed = true;
    }
    return !hasFailed;
  };
  return {
    write(lines) {
      if (!writeRest()) return false;
      rest = Buffer.from(lines);
      writeRest();
      return true;
    },
    isBusy: () => hasFailed,
    isBroken: () => hasFailed,
  };
}

/** Says on standard error that the log cannot be written. When that cannot be said either, there is no place left to say it. */
function createNotice(): (error: unknown) => void {
  process.stderr.on("error", () => {});
  return (error) =>
    void process.stderr.write(`The log cannot be written: ${messageOf(error)}. The service goes on without it.\n`);
}
