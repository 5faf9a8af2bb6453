/**
 * Ends the process without an error when nobody reads its standard output any more: `head`, for instance, leaves after the first lines.
 * `exitCode` gives the exit code then.
 */
export function endWhenNobodyReads(exitCode: () => number = () => 0): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(exitCode());
  });
}
