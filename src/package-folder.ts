import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of `package.json`, with the files that are no code. The code runs from `src/`, or from `dist/` when it was built. */
export const PACKAGE_FOLDER = above(dirname(fileURLToPath(import.meta.url)));

/** The version of the service. */
export const VERSION: string = JSON.parse(readFileSync(join(PACKAGE_FOLDER, "package.json"), "utf8")).version;

function above(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : above(dirname(folder));
}
