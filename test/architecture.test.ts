import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { declaredCalls } from "../src/app.ts";
import { clientTypesOf } from "../src/http/openapi/client-types.ts";
import { documentOf } from "../src/http/openapi/document.ts";
import { VERSION } from "../src/package-folder.ts";

const SRC = fileURLToPath(new URL("../src", import.meta.url));
const PACKAGE = JSON.parse(readFileSync(join(SRC, "../package.json"), "utf8"));
/** `npm pack` of the client leaves what it has built. */
const BUILT = /^client\/dist\//;
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
  (file) => /\.tsx?$/.test(file) && !BUILT.test(file),
);

/** What a file imports: paths within src, and names of packages. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(SRC, file), "utf8");
  const specifiers = [...source.matchAll(/(?:from|import\()\s*"([^"\s]+)"/g)].map((match) => match[1] ?? "");
  return specifiers.map((name) => (name.startsWith(".") ? relative(SRC, join(SRC, dirname(file), name)) : name));
}

/** Each layer with what it must not import. Arrows point down: http -> queue -> webhooks -> events, fleet -> settings, storage -> contract -> db -> embedded. */
const RULES: [layer: string, forbidden: RegExp][] = [
  ["http", /^(drizzle-orm|pg$|db\/(schema|[a-z-]+-tables?))/],
  ["queue", /^(express|http\/|app\.ts|service\.ts|server\.ts)/],
  ["retention", /^(express|http\/|queue\/|app\.ts|service\.ts|server\.ts)/],
  ["webhooks", /^(express|http\/|queue\/|app\.ts|service\.ts|server\.ts)/],
  ["events", /^(express|http\/|queue\/|webhooks\/|fleet\/|app\.ts|service\.ts|server\.ts)/],
  ["fleet", /^(express|http\/|queue\/|webhooks\/|app\.ts|service\.ts|server\.ts)/],
  ["settings", /^(express|http\/|queue\/|fleet\/|app\.ts|service\.ts|server\.ts)/],
  ["storage", /^(express|http\/|queue\/|fleet\/|settings\/|app\.ts|service\.ts|server\.ts)/],
  ["cli", /^(express|http\/|queue\/|fleet\/|storage\/|settings\/|app\.ts|service\.ts|server\.ts)/],
  ["output-schema", /^(?!node:|ajv|errors\.ts$|package-folder\.ts$|output-schema\/)/],
  ["contract", /^(express|http\/|queue\/|fleet\/|storage\/|app\.ts|service\.ts|server\.ts)/],
  ["worker", /^(express|http\/|queue\/|fleet\/|storage\/|settings\/|db\/|contract\/|app\.ts|service\.ts|server\.ts)/],
  // The client is a package of its own, which runs in browsers too.
  ["client", /^(?!client\/)/],
  // The pages run in browsers, and know the service only through its client.
  ["console", /^(?!console\/|client\/|preact(\/hooks)?$|@preact\/signals$|marked$)/],
  ["db", /^(express|http\/|queue\/|fleet\/|storage\/|settings\/|contract\/|app\.ts|service\.ts|server\.ts)/],
  ["tracing", /^(?!node:|pino$|(abort-signals|errors|outage-log|package-folder)\.ts$|tracing\/)/],
  ["metrics", /^(?!node:|metrics\/)/],
  // The embedded server knows nothing of this service's tables: it gives an address, as any other server has one.
  ["embedded", /^(?!node:|pg$|pino$|errors\.ts$|fsync-folder\.ts$|embedded\/)/],
];

describe("the house", () => {
  it.each(RULES)("%s imports nothing from above", (layer, forbidden) => {
    const inLayer = files.filter((file) => file.startsWith(`${layer}/`));
    expect(inLayer.length).toBeGreaterThan(0);
    const broken = inLayer.flatMap((file) =>
      importsOf(file)
        .filter((name) => forbidden.test(name))
        .map((name) => `${file} imports ${name}`),
    );
    expect(broken).toEqual([]);
  });

  it("makes calls reachable in one place, which takes nothing but declared routes", () => {
    const mounts = /\bRouter\(|\.(get|post|put|patch|delete|all|use)\(\s*["'`]\/|router\[/;
    const mounting = files.filter((file) => mounts.test(readFileSync(join(SRC, file), "utf8")));
    expect(mounting).toEqual(["http/mount-routes.ts"]);
  });

  it("has no two files that import each other, not even for types", () => {
    const imports = new Map(files.map((file) => [file, importsOf(file).filter((name) => files.includes(name))]));
    const reachedFrom = (file: string) => {
      const reached = new Set<string>();
      const visit = (name: string) => {
        for (const next of imports.get(name) ?? []) {
          if (reached.has(next)) continue;
          reached.add(next);
          visit(next);
        }
      };
      visit(file);
      return reached;
    };
    expect(files.filter((file) => reachedFrom(file).has(file))).toEqual([]);
  });

  it("runs without the packages of its development", () => {
    const production = Object.keys(PACKAGE.dependencies);
    const isMissing = (name: string) =>
      !name.startsWith("node:") && !files.includes(name) && !production.some((one) => `${name}/`.startsWith(`${one}/`));
    expect(files.flatMap((file) => importsOf(file).filter(isMissing))).toEqual([]);
    const { start, worker, key, doctor, backup, restore, "db:migrate": migrate } = PACKAGE.scripts;
    for (const script of [start, worker, key, doctor, backup, restore, migrate])
      expect(script).toMatch(/^node build.mjs && exec node [^&|;]*$/);
  });

  it("has no file over 200 lines, but one that is generated", () => {
    const written = files.filter((file) => file !== "client/calls.ts");
    const long = written.filter((file) => readFileSync(join(SRC, file), "utf8").split("\n").length > 201);
    expect(long).toEqual([]);
  });

  it("has a client that knows every call as it is declared; `npm run client:generate` brings it up to date", () => {
    const known = readFileSync(join(SRC, "client/calls.ts"), "utf8");
    expect(known === clientTypesOf(documentOf(declaredCalls(), VERSION))).toBe(true);
    const { version, engines } = JSON.parse(readFileSync(join(SRC, "client/package.json"), "utf8"));
    expect([version, engines]).toEqual([PACKAGE.version, PACKAGE.engines]);
  });

  it("reads the environment in the programs only; what starts other programs passes it on", () => {
    const readers = files.filter((file) => readFileSync(join(SRC, file), "utf8").includes("process.env"));
    expect(
      readers.filter(
        (file) =>
          ![
            "server.ts",
            "config.ts",
            "db/migration-tool.ts",
            "backup-tool.ts",
            "doctor/main.ts",
            "key-tool.ts",
            "embedded/processes.ts",
            "worker/main.ts",
            "worker/run-command.ts",
          ].includes(file),
      ),
    ).toEqual([]);
  });
});
