import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Where the browser is; undefined where none is installed. With CI set, that is an error: the tests must not be left out there. */
export function findBrowser({ PATH = "", CI } = process.env): string | undefined {
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const found = places.find(isProgram);
  if (found === undefined && CI)
    throw new Error(`No browser is installed (${NAMES.join(", ")}). apt-get install chromium`);
  return found;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
