/** What code and pages say of each other: a citation, a path or a link that leads nowhere fails here. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { declaredCalls } from "../src/app.ts";
import { cause } from "../src/contract/causes.ts";
import { taskRecord } from "../src/contract/task-record.ts";
import { TYPE_OF_ACTION } from "../src/db/audit-actions.ts";
import { TASK_STATUSES } from "../src/db/statuses.ts";
import { documentOf } from "../src/http/openapi/document.ts";
import type { Operation } from "../src/http/openapi/operation-object.ts";
import type { Schema } from "../src/http/openapi/schemas.ts";
import { TASK } from "./support/record-shapes.ts";

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

  it("is a file that is there", () => {
    const cited = found(below("src", /\.tsx?$/), /(?<![\w./*-])((?:[\w-]+\/)*[\w-]+\.tsx?)\b/g);
    expect(cited.length).toBeGreaterThan(100);
    const isThere = (path: string, file: string) =>
      ["", "src", dirname(path)].some((folder) => exists(join(folder, file)));
    expect(cited.filter(({ path, group }) => !isThere(path, group))).toEqual([]);
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

  it("is a test that is there", () => {
    const table = /\| Attack \|.*`test\/` \|\n([\s\S]*?)\n\n/.exec(read("docs/operations.md"))?.[1] ?? "";
    const tests = [...table.matchAll(/`([\w/-]+)`(?=[^|]*\|$)/gm)].map(([, name = ""]) => name);
    expect(tests.length).toBeGreaterThan(40);
    expect(tests.filter((name) => !exists(`test/${name}.test.ts`))).toEqual([]);
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

describe("a field or a state of a task", () => {
  const fields = Object.keys(taskRecord.shape);

  it("is in the records that docs/walk.md prints", () => {
    const printed = [...read("docs/walk.md").matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = ""]) =>
      JSON.parse(json),
    );
    const tasks = printed.map((answer) => answer.task ?? answer).filter((answer) => "agent_slug" in answer);
    expect(tasks.length).toBeGreaterThan(0);
    for (const task of tasks) expect(fields.filter((field) => !(field in task))).toEqual([]);
  });

  it("is in test/support/record-shapes.ts", () => {
    expect(fields.filter((field) => !(field in TASK))).toEqual([]);
  });

  it("is a state that docs/lifecycle.md has an arrow to", () => {
    const rows = [...read("docs/lifecycle.md").matchAll(/^\|[^|]*\|([^|]*)\|/gm)].map(([, to = ""]) => to);
    expect(TASK_STATUSES.filter((status) => !rows.some((to) => to.includes(status)))).toEqual([]);
  });

  it("is a state that docs/api.md names", () => {
    expect(TASK_STATUSES.filter((status) => !new RegExp(`\\b${status}\\b`).test(read("docs/api.md")))).toEqual([]);
  });

  it("is a state that bloom_runtime.task_is_possible allows, as the last migration that replaces it says", () => {
    const made = below("migrations", /\.sql$/)
      .sort()
      .flatMap((path) => read(path).match(/FUNCTION bloom_runtime\.task_is_possible\([\s\S]*?\$\$;/i) ?? []);
    expect(TASK_STATUSES.filter((status) => !made.at(-1)?.includes(`'${status}'`))).toEqual([]);
  });
});

it("docs/events.md names every type of event", () => {
  const named = [...read("docs/events.md").matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = ""]) => {
    const [first = "", ...more] = [...cell.matchAll(/`([^`]*)`/g)].map(([, name = ""]) => name);
    // A row writes `worker.updated` as `.updated` behind the first of its kind.
    return [first, ...more.map((name) => (name.startsWith(".") ? first.split(".")[0] + name : name))];
  });
  expect(Object.values(TYPE_OF_ACTION).filter((type) => !named.includes(type))).toEqual([]);
});

describe("docs/api.md", () => {
  const { paths, components } = documentOf(declaredCalls(), "1.0.0");
  const [general = "", ...sections] = read("docs/api.md").split(/^## (?=Records)/m);
  const rows = sections
    .join("")
    .split("\n")
    .filter((line) => line.startsWith("|"));
  const quotedIn = (text: string) => [...text.matchAll(/`([^`]*)`/g)].map(([, quoted = ""]) => quoted);
  /** The rows that begin with such a name in their first cell. */
  const rowsNamed = (isMeant: (name: string) => boolean) =>
    rows.filter((row) => quotedIn(row.split("|")[1] ?? "").some(isMeant));
  const names = (text: string, name: string) => new RegExp(`(?<![\\w])${name}(?![\\w])`).test(text);

  /** The rows that name the call's method and its address, or the end of that. */
  function rowsOf(method: string, path: string): string[] {
    const parts = path
      .replace(/\{(\w+)\}/g, ":$1")
      .split("/")
      .slice(1);
    const ends = parts.map((_, at) => `/${parts.slice(at).join("/")}`).filter((end) => /\/(?!:)/.test(end));
    return rows.filter((row) => {
      const addresses = quotedIn(row).map((quoted) => quoted.replace(/^[A-Z]+ |^…|\?.*$/g, "").replace(/^…/, ""));
      return names(row, method.toUpperCase()) && addresses.some((address) => ends.includes(address));
    });
  }

  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      told: rowsOf(method, path),
      method,
      path,
      ...operation,
    })),
  );
  const bodyOf = ({ requestBody }: Operation) => {
    const properties = requestBody?.content["application/json"]?.schema.properties ?? {};
    return Object.entries(properties as Record<string, Schema>);
  };

  /** The bounds that a reader cannot guess: lengths, sizes and ranges, of what is in it too. */
  function boundsOf(schema: unknown): number[] {
    if (typeof schema !== "object" || schema === null) return [];
    return Object.entries(schema).flatMap(([name, value]) => {
      const isBound = ["maxLength", "maxItems", "maximum", "minimum"].includes(name) && Math.abs(Number(value)) > 1;
      return isBound ? [Number(value)] : boundsOf(value);
    });
  }
  /** The end of time, which is the bound of all times. */
  const END_OF_TIME = 8.64e15;
  const says = (text: string, bound: number) =>
    [String(bound), bound.toLocaleString("en-US")].some((shown) =>
      new RegExp(`(?<![\\d,]|\\d\\.)${shown}(?!,?\\d)`).test(text),
    );

  it("names every code of explain", () => {
    const codes = cause.shape.code.options;
    expect(codes.filter((code) => rowsNamed((name) => name === code).length === 0)).toEqual([]);
  });

  it("names every call", () => {
    expect(calls.filter(({ told }) => told.length === 0).map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });

  it("names every field and parameter that a call takes, with its bounds", () => {
    const untold: string[] = [];
    for (const call of calls) {
      const { operationId, parameters, told } = call;
      const isCreation = ["createTask", "replayTask"].includes(operationId);
      for (const { name, in: place } of parameters)
        if (place === "query" && !names(general + told, name)) untold.push(`${operationId}?${name}`);
      for (const [name, schema] of bodyOf(call)) {
        const more = isCreation ? rowsNamed((field) => field === name || field.startsWith(`${name}.`)) : [];
        const text = [general, ...told, ...more].join("\n");
        if (!names(text, name)) untold.push(`${operationId}: ${name}`);
        const bounds = boundsOf(schema).filter((bound) => bound !== END_OF_TIME && !says(text, bound));
        untold.push(...new Set(bounds.map((bound) => `${operationId}: ${name}: ${bound}`)));
      }
    }
    expect(untold).toEqual([]);
  });

  it.each([
    ["Task", "Task"],
    ["Lease", "Lease"],
    ["Worker", "Worker"],
    ["Artifact", "Artifact"],
    ["Result", "Result"],
    ["AuditEntry", "Audit entry"],
    ["RuntimeConfig", "Configuration"],
    ["Delivery", "Delivery"],
  ])("names every field of the record %s", (record, shown) => {
    const row = rows.find((line) => line.startsWith(`| ${shown} |`)) ?? "";
    const schema = components.schemas?.[record] as Schema;
    const fields = Object.keys(schema.properties ?? {});
    expect(fields.length).toBeGreaterThan(4);
    expect(fields.filter((field) => !names(row, field))).toEqual([]);
  });
});
