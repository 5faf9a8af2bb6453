/** A folder for everything temporary of a test run, which no test may leave anything behind in. */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What test files share stays in it until the end of the run. */
export const TEMPLATE = "embedded-template";
/** npm, which some tests call, makes it with Node.js 22 and newer. */
const COMPILE_CACHE = "node-compile-cache";

export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "bloom-test-"));
  // PostgreSQL and PgBouncer run under another user where the tests run as root.
  await chmod(folder, 0o755);
  process.env.TMPDIR = folder;
  return async () => {
    const left = (await readdir(folder)).filter((name) => name !== TEMPLATE && name !== COMPILE_CACHE);
    await rm(folder, { recursive: true, force: true });
    if (left.length === 0) return;
    process.exitCode = 1;
    throw new Error(`Tests left these behind in the folder for temporary files: ${left.join(", ")}`);
  };
}
