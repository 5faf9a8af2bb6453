/** What code and pages say of each other: a citation, a path or a link that leads nowhere fails here. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const below = (folder: string, ending: RegExp) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => ending.test(name))
    .map((name) => join(folder, name));

const pages = ["README.md", ...below("docs", /\.md$/)];
const code = [...below("src", /\.(ts|sh)$/), ...below("test", /\.ts$/)].filter((path) => path !== "test/docs.test.ts");
const exists = (path: string) => existsSync(join(ROOT, path));

/** Comments are broken over lines; a citation may be, too. */
const textOf = (path: string) => read(path).replace(/\n\s*(\*|\/\/)?\s*/g, " ");
const found = (paths: string[], pattern: RegExp) =>
  paths.flatMap((path) =>
    [...textOf(path).matchAll(pattern)].map((match) => ({ path, words: match[0], group: match[1] ?? "" })),
  );

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
const headings = (page: string) => [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);

describe("what the code cites", () => {
  it("is a page of ours", () => {
    const names = new Set(pages.map((page) => page.split("/").at(-1)));
    const cited = found(code, /\b([\w-]+\.md)\b/g);
    expect(cited.length).toBeGreaterThan(20);
    expect(cited.filter(({ group }) => !names.has(group))).toEqual([]);
  });

  it("is an invariant that lifecycle.md has", () => {
    const numbers = new Set([...read("docs/lifecycle.md").matchAll(/^(\d+)\. \*\*/gm)].map(([, number]) => number));
    expect(numbers.size).toBe(18);
    const cited = found([...code, ...pages], /\binvariants? (\d+)\b/g);
    expect(cited.length).toBeGreaterThan(20);
    expect(cited.filter(({ group }) => !numbers.has(group))).toEqual([]);
  });

  it("is a section that the page has", () => {
    for (const page of pages.filter((path) => path.startsWith("docs/"))) {
      const name = page.split("/").at(-1)?.replace(".", "\\.");
      const cited = found(code, new RegExp(`${name}, "([^"]+)"`, "g"));
      expect(cited.filter(({ group }) => !headings(page).includes(group))).toEqual([]);
    }
  });
});

describe("what the pages name", () => {
  it("is a file or a folder that is there", () => {
    const named = found(pages, /`((?:src|test|docs|migrations)\/[\w./-]*)`/g);
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(({ group }) => !exists(group))).toEqual([]);
  });

  it("is linked to where it is", () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([link, path, anchor]) => {
        const target = path ? normalize(join(dirname(page), path)) : page;
        if (!exists(target)) return [`${page}: ${link}`];
        const isThere = anchor === undefined || headings(target).map(anchorOf).includes(anchor);
        return isThere ? [] : [`${page}: ${link}`];
      }),
    );
    expect(broken).toEqual([]);
  });
});
