import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ROOT } from "../support/programs.ts";

/** How many bytes a browser loads at most that opens every page in both languages, compressed with gzip. */
const MOST_BYTES = { js: 60_000, css: 12_000 };
/** The parser is loaded only when somebody asks to see a text as Markdown. */
const PARSER = /^marked/;
const MOST_PARSER_BYTES = 20_000;
const FOLDER = join(ROOT, "dist/console");

/** What the page names, and what these files name in turn. Earlier builds may have left others beside them. */
function namedFiles(file: string, known = new Set<string>()): Set<string> {
  for (const [name] of readFileSync(join(FOLDER, file), "utf8").matchAll(/\w[\w.-]*-[A-Z0-9]{8}\.(js|css)/g))
    if (!known.has(name)) namedFiles(name, known.add(name));
  return known;
}

const bytesOf = (names: string[]) =>
  names.map((name) => statSync(join(FOLDER, `${name}.gz`)).size).reduce((sum, each) => sum + each, 0);

it("the files of the console stay small", () => {
  const files = [...namedFiles("index.html")];
  const scripts = files.filter((name) => name.endsWith(".js"));
  expect(scripts.length).toBeGreaterThan(10);
  expect(bytesOf(scripts.filter((name) => !PARSER.test(name)))).toBeLessThan(MOST_BYTES.js);
  expect(bytesOf(scripts.filter((name) => PARSER.test(name)))).toBeLessThan(MOST_PARSER_BYTES);
  expect(bytesOf(files.filter((name) => name.endsWith(".css")))).toBeLessThan(MOST_BYTES.css);
});
