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

/** The packages that each layer may import, beside those of Node.js. Which folders it may import from is in the table of docs/architecture.md. */
const PACKAGES: Record<string, string[]> = {
  processes: ["pino"],
  http: ["@modelcontextprotocol/server", "express", "express-rate-limit", "helmet", "pino", "zod"],
  queue: ["drizzle-orm", "pino"],
  retention: ["drizzle-orm"],
  webhooks: ["drizzle-orm"],
  events: ["drizzle-orm"],
  fleet: ["cockatiel", "drizzle-orm", "pino", "undici", "zod"],
  "saved-config": ["drizzle-orm", "pino"],
  storage: ["cockatiel", "drizzle-orm", "minio", "pino"],
  contract: ["drizzle-zod", "zod"],
  cli: [],
  "output-schema": ["ajv"],
  db: ["drizzle-orm", "pg", "pg-copy-streams", "pino", "uuid"],
  tracing: ["pino"],
  metrics: [],
  embedded: ["pg", "pino"],
  client: [],
  console: ["@preact/signals", "marked", "preact"],
  worker: ["pino", "undici"],
};
/** The client is a package of its own, and the console knows the service only through it. */
const WITHOUT_SHARED_FILES = ["client", "console", "metrics"];
const PROGRAMS = /^(app|service|service-loops|service-parts|server|[a-z-]+-tool)\.ts$/;
const TABLES = /^db\/[a-z-]+-tables?\.ts$/;

/** The rows of the table of layers: each folder, and those that it may import from. */
const LAYERS: [layer: string, folders: string[]][] = [
  ...readFileSync(join(SRC, "../docs/architecture.md"), "utf8").matchAll(/^\| `src\/([a-z-]+)\/` \|.*\| ([^|]*) \|$/gm),
].map(([, layer = "", folders = ""]) => [layer, [...folders.matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name)]);

function mayImport(layer: string, folders: string[], name: string): boolean {
  if (layer === "http" && TABLES.test(name)) return false;
  if (name.startsWith("node:")) return layer !== "client" && layer !== "console";
  if (!files.includes(name)) return PACKAGES[layer]?.some((one) => `${name}/`.startsWith(`${one}/`)) ?? false;
  if (!name.includes("/")) return !WITHOUT_SHARED_FILES.includes(layer) && !PROGRAMS.test(name);
  return [layer, ...folders].some((folder) => name.startsWith(`${folder}/`));
}

describe("the house", () => {
  it("has a row in the table of layers for each folder", () => {
    const folders = new Set(files.filter((file) => file.includes("/")).map((file) => file.split("/")[0]));
    // What the doctor asks of every part is a program, as those directly in src/ are.
    expect(LAYERS.map(([layer]) => layer).toSorted()).toEqual(
      [...folders].filter((name) => name !== "doctor").toSorted(),
    );
  });

  it.each(LAYERS)("%s imports from the folders of its row alone", (layer, folders) => {
    const broken = files
      .filter((file) => file.startsWith(`${layer}/`))
      .flatMap((file) =>
        importsOf(file)
          .filter((name) => !mayImport(layer, folders, name))
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
      expect(script).toMatch(/^node build.mjs && (?:[A-Z_]+=\d+ )*exec node [^&|;]*$/);
  });

  it("has no TypeScript file over 200 lines, but one that is generated", () => {
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
            "embedded/run-program.ts",
            "worker/main.ts",
            "worker/run-command.ts",
          ].includes(file),
      ),
    ).toEqual([]);
  });
});
