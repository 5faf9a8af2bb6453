/** The programs as they run in production: compiled once before the first test, where tsx would compile them at every start. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

/** What the tests alone start; each becomes a file in `dist/test/`. */
const FOR_TESTS = {
  "embedded-service": "test/embedded/service.ts",
  "skewed-clock": "test/chaos/skewed-clock.ts",
};

/** Makes all of them: `npm run build`, and what the tests alone start. */
export default async function buildPrograms(): Promise<void> {
  execFileSync(process.execPath, ["build.mjs"], { cwd: ROOT, stdio: "inherit" });
  await build({
    entryPoints: FOR_TESTS,
    outdir: "dist/test",
    absWorkingDir: ROOT,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: true,
    sourcesContent: false,
    logLevel: "warning",
  });
}

/** What a script of package.json gives to Node when everything is built: `["--enable-source-maps", "dist/key.js"]` for `key`. */
export function argumentsOf(
  script: "start" | "worker" | "key" | "doctor" | "backup" | "restore" | "db:migrate",
): string[] {
  return scripts[script].split("exec node ")[1].split(" ");
}

/** The variables that `npm start` sets for Node. */
export function environmentOfStart(): Record<string, string> {
  const [before = ""] = scripts.start.split("exec node ");
  return Object.fromEntries([...before.matchAll(/([A-Z_]+)=(\S+) /g)].map(([, name, value]) => [name, value]));
}

/** The file that a program for tests alone is compiled to. */
export const testProgram = (name: keyof typeof FOR_TESTS): string => `${ROOT}dist/test/${name}.js`;
