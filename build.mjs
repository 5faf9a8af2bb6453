/**
 * `npm run build`: the service as a bundle in `dist/`, with `server.js` written last. What is there already is left alone, so that instances
 * that start together, or from a folder that is read-only by then, find it whole.
 */
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
await mkdir("dist", { recursive: true });
for (const { path, contents } of outputFiles.toSorted((a, b) => isEntry(a) - isEntry(b))) {
  const before = await readFile(path).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  if (before?.equals(contents)) continue;
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, contents);
  await rename(unfinished, path);
}
