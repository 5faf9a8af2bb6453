import { stat } from "node:fs/promises";
import { type CliName, endsWithResult } from "./cli-command.ts";
import { readFileTail } from "./file-tail.ts";

const LOOK_EVERY_MS = 500;
/** How much of the output's end is looked at. A result that is longer is not seen; its CLI has until its timeout to end. */
const END_BYTES = 1_000_000;

/**
 * Calls `onHung` when the output in `file` has ended with a result for `graceMs`, and nothing was added to it since. CLIs that hang after their
 * answer are common. Gives a function that ends the watch.
 */
export function watchForHungCli(file: string, cli: CliName, graceMs: number, onHung: () => void): () => void {
  let size = 0;
  let since = performance.now();
  let isResult: boolean | undefined;
  const look = async () => {
    const now = await stat(file);
    if (now.size !== size) {
      [size, since, isResult] = [now.size, performance.now(), undefined];
      return;
    }
    isResult ??= endsWithResult(cli, (await readFileTail(file, END_BYTES)).toString("utf8"));
    if (isResult && performance.now() - since >= graceMs) onHung();
  };
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    look()
      // The file is gone with its task: there is nothing to watch for.
      .catch(() => {})
      .finally(() => {
        isLooking = false;
      });
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
