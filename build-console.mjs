/**
 * The console's files: scripts and styles with a hash of their content in their names, each also compressed with gzip and brotli, and the page
 * that loads them. The service serves them as they are (`src/http/console-routes.ts`).
 */
import { basename, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const START = "/console/files/";

/** Gives the files with their contents, the page last: what it names must be there before it. */
export async function buildConsole(outdir) {
  const { outputFiles, metafile } = await build({
    entryPoints: { main: "src/console/main.tsx", styles: "src/console/styles.css", icon: "src/console/icon.svg" },
    outdir,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".svg": "copy" },
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: ["chrome123", "firefox121", "safari17.5"],
    tsconfig: "src/console/tsconfig.json",
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
    metafile: true,
    write: false,
  });
  const nameOf = (start) => basename(outputFiles.find(({ path }) => basename(path).startsWith(start))?.path ?? "");
  const [main, styles, icon] = [nameOf("main-"), nameOf("styles-"), nameOf("icon-")];
  const importsOf = (file) =>
    Object.entries(metafile.outputs)
      .find(([path]) => basename(path) === file)[1]
      .imports.filter(({ kind }) => kind === "import-statement")
      .map(({ path }) => basename(path));
  // Most visits begin at the start page, whose files come together with those of the console itself.
  const start = nameOf("now-");
  const early = [...new Set([...importsOf(main), start, ...importsOf(start)])];
  const page = {
    path: join(outdir, "index.html"),
    contents: Buffer.from(pageOf({ main, styles, icon, early })),
  };
  return [...outputFiles, page].flatMap(({ path, contents }) => [
    { path: `${path}.gz`, contents: gzipSync(contents, { level: 9 }) },
    {
      path: `${path}.br`,
      contents: brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: contents.length } }),
    },
    { path, contents: Buffer.from(contents) },
  ]);
}

const pageOf = ({ main, styles, icon, early }) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>BLOOM Runtime</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"><meta name="color-scheme" content="light dark">
<link rel="icon" type="image/svg+xml" href="${START}${icon}"><link rel="stylesheet" href="${START}${styles}">
${early.map((name) => `<link rel="modulepreload" href="${START}${name}">`).join("")}
<script type="module" blocking="render" src="${START}${main}"></script></head>
<body><div id="app"><noscript>The console needs JavaScript. The calls are described at <a href="/docs">/docs</a>.</noscript></div></body></html>
`;
