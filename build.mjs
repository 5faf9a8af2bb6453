/**
 * `npm run build`: the programs as bundles in `dist/`, written after the chunks that they share, and the console in `dist/console/`. A file
 * that is there already is left alone, so that processes that start together, or from a folder that is read-only by then, find all of them
 * whole.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { build } from "esbuild";
import { buildConsole } from "./build-console.mjs";

const PROGRAMS = {
  server: "src/server.ts",
  worker: "src/worker/main.ts",
  key: "src/key-tool.ts",
  doctor: "src/doctor/main.ts",
  "db-tool": "src/db/migration-tool.ts",
  openapi: "src/openapi-tool.ts",
  backup: "src/backup-tool.ts",
  "check-thread": "src/output-schema/check-thread.ts",
};

const { outputFiles } = await build({
  entryPoints: PROGRAMS,
  outdir: "dist",
  bundle: true,
  splitting: true,
  packages: "external",
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
  write: false,
});
const isEntry = ({ path }) => Object.hasOwn(PROGRAMS, basename(path, ".js"));
try {
  await mkdir("dist/console", { recursive: true });
  await write(await buildConsole("dist/console"));
  await write(outputFiles.toSorted((a, b) => isEntry(a) - isEntry(b)));
} catch (error) {
  if (!["EACCES", "EPERM", "EROFS"].includes(error.code)) throw error;
  process.stderr.write(
    `dist/ cannot be written (${error.code}). Run \`npm run build\` as the owner of this folder first.\n`,
  );
  process.exitCode = 1;
}

async function write(files) {
  for (const { path, contents } of files) {
    const before = await readFile(path).catch((error) => {
      if (error.code !== "ENOENT") throw error;
    });
    if (before?.equals(contents)) continue;
    const unfinished = `${path}.${randomUUID()}`;
    await writeFile(unfinished, contents);
    await rename(unfinished, path);
  }
}
