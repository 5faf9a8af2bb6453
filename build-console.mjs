/**
 * The console's files: scripts and styles with a hash of their content in their names, each also compressed with gzip and brotli, and the page
 * that loads them. The service serves them as they are (`src/http/console-routes.ts`).
 */
import { readFile } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const START = "/console/files/";

/**
 * esbuild makes a file for each set of pages that share something. The pages that are loaded later count as one that needs all that the first
 * file has, which is there by then: so that is one file, where it would be two, which weigh 0.8 KB more.
 */
const oneFirstFile = {
  name: "one first file",
  setup({ onLoad, onResolve }) {
    const later = new Set();
    onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      if (kind === "dynamic-import") later.add(resolve(resolveDir, path));
      return undefined;
    });
    onLoad({ filter: /src\/console\/pages\/[^/]*$/ }, async ({ path }) => {
      if (!later.has(path)) return undefined;
      const contents = `${await readFile(path, "utf8")}\nimport "../shell.tsx";\n`;
      return { contents, loader: extname(path).slice(1) };
    });
  },
};

/** Gives the files with their contents, the page last: what it names must be there before it. */
export async function buildConsole(outdir) {
  const common = {
    outdir,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    platform: "browser",
    target: ["chrome123", "firefox121", "safari17.5"],
    tsconfig: "src/console/tsconfig.json",
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
    write: false,
  };
  const { outputFiles: files, metafile } = await build({
    ...common,
    entryPoints: { main: "src/console/main.tsx", styles: "src/console/styles.css", icon: "src/console/icon.svg" },
    loader: { ".svg": "copy" },
    splitting: true,
    plugins: [oneFirstFile],
    format: "esm",
    metafile: true,
  });
  const nameIn = (made, start) => basename(made.find(({ path }) => basename(path).startsWith(start)).path);
  const [main, styles, icon, ukrainian] = ["main-", "styles-", "icon-", "uk-"].map((start) => nameIn(files, start));
  // It shares no file with the others: it must run without waiting for another one.
  const { outputFiles: firstFiles } = await build({
    ...common,
    entryPoints: { "first-calls": "src/console/first-calls.ts" },
    define: { UKRAINIAN_TEXTS: JSON.stringify(START + ukrainian) },
    format: "iife",
  });
  const outputFiles = [...files, ...firstFiles];
  const firstCalls = nameIn(firstFiles, "first-calls-");
  const importsOf = (file) =>
    Object.entries(metafile.outputs)
      .find(([path]) => basename(path) === file)[1]
      .imports.filter(({ kind }) => kind === "import-statement")
      .map(({ path }) => basename(path));
  const early = importsOf(main);
  const page = {
    path: join(outdir, "index.html"),
    contents: Buffer.from(pageOf({ firstCalls, main, styles, icon, early })),
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

const pageOf = ({ firstCalls, main, styles, icon, early }) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>BLOOM Runtime</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"><meta name="color-scheme" content="light dark">
<script async fetchpriority="high" src="${START}${firstCalls}"></script>
<link rel="icon" type="image/svg+xml" href="${START}${icon}"><link rel="stylesheet" href="${START}${styles}">
${early.map((name) => `<link rel="modulepreload" href="${START}${name}">`).join("")}
<script type="module" blocking="render" src="${START}${main}"></script></head>
<body><div id="app"><noscript>The console needs JavaScript. The calls are described at <a href="/docs">/docs</a>.</noscript></div></body></html>
`;
