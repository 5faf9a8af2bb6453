/**
 * `npm run build`: the service as a bundle in `dist/`, with `server.js` written last. What is there already is left alone, so that instances
 * that start together, or from a folder that is read-only by then, find it whole.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const { outputFiles } = await build({
  entryPoints: ["src/server.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  packages: "external",
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  logLevel: "warning",
  write: false,
});
const isEntry = ({ path }) => path.endsWith("server.js");
try {
  await mkdir("dist", { recursive: true });
  await write();
} catch (error) {
  if (!["EACCES", "EPERM", "EROFS"].includes(error.code)) throw error;
  process.stderr.write(
    `dist/ cannot be written (${error.code}). Run \`npm run build\` as the owner of this folder first.\n`,
  );
  process.exitCode = 1;
}

async function write() {
  for (const { path, contents } of outputFiles.toSorted((a, b) => isEntry(a) - isEntry(b))) {
    const before = await readFile(path).catch((error) => {
      if (error.code !== "ENOENT") throw error;
    });
    if (before?.equals(contents)) continue;
    const unfinished = `${path}.${randomUUID()}`;
    await writeFile(unfinished, contents);
    await rename(unfinished, path);
  }
}
