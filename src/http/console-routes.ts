/** `/console`: the pages for people, from the files that `npm run build` has made of `src/console/`. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Request, Response } from "express";
import { NotFound } from "../errors.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import { nothingAt } from "./error-answers.ts";
import { type Route, type RouteFacts, route } from "./route.ts";

const FOLDER = join(PACKAGE_FOLDER, "dist/console");
const START = "/console";

/** The pages run our own scripts and nothing else: no text can become a script, a style or an address that is fetched by itself. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** The names that the build gives: a hash of the content is part of each, so that a file never changes. */
const BUILT_FILE = /^\w[\w.-]*-[A-Z0-9]{8}\.(js|css|svg)$/;
const TYPES: Record<string, string> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
/** How the names of the compressed files end. */
const ENDINGS: Record<string, string> = { br: ".br", gzip: ".gz" };
const FOREVER = "public, max-age=31536000, immutable";

const page = (name: string, path: string, summary: string) =>
  route({
    ...openFile(name, path, summary, "text/html"),
    handle: ({ request, response }) => {
      response.set({ "Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache" });
      send(request, response, "index.html", "text/html; charset=utf-8");
    },
  });

export const consoleRoutes: Route[] = [
  route({
    name: "getStart",
    summary: "Go to the console",
    method: "get",
    path: "/",
    access: "anybody",
    limit: "none",
    answers: {
      302: { means: "A browser is sent to the console.", other: { "text/html": "A link to it." } },
      404: "Another client finds nothing here.",
    },
    handle: ({ request, response }) => {
      response.vary("Accept");
      // Programs that look here take any type; browsers name HTML first.
      if (!request.get("accept")?.startsWith("text/html")) throw new NotFound(nothingAt(request));
      response.redirect(START);
    },
  }),
  page("getConsole", START, "Open the console"),
  route({
    ...openFile("getConsoleFile", `${START}/files/:file`, "Read a file of the console", "*/*"),
    handle: ({ request, response, params: { file } }) => {
      const [, type = ""] = BUILT_FILE.exec(file) ?? [];
      if (type === "") throw new NotFound("The console has no such file. Load its page again.");
      response.set("Cache-Control", FOREVER);
      send(request, response, file, `${TYPES[type]}; charset=utf-8`);
    },
  }),
  page("getConsolePage", `${START}/:page`, "Open a page of the console"),
  page("getConsoleRecord", `${START}/:page/:id`, "Open the console's page of one record"),
];

/** What is declared of a call that answers a built file. These do not count for the limits: to load a page must not use up what its calls need. */
function openFile<const Path extends string>(name: string, path: Path, summary: string, type: string) {
  return {
    name,
    summary,
    method: "get",
    path,
    access: "anybody",
    limit: "none",
    answers: {
      200: {
        means: "The file.",
        other: { [type]: "As it was built, compressed where the client takes that." },
        headers: ["ETag"],
      },
      304: { means: "The client has it already.", headers: ["ETag"] },
      404: "There is no such file, or the console was not built.",
    },
  } satisfies RouteFacts & { path: Path };
}

/** Sends a built file, in the smallest form that the client takes. NotFound: it was not built. */
function send(request: Request, response: Response, file: string, type: string): void {
  const encoding = ["br", "gzip"].find((each) => request.acceptsEncodings(each)) ?? "";
  const path = join(FOLDER, file + (ENDINGS[encoding] ?? ""));
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new NotFound("The console has no such file. Run `npm run build`, and load its page again.");
  response.vary("Accept-Encoding").type(type).set("ETag", `"${found.mtimeMs}-${found.size}-${encoding}"`);
  if (encoding !== "") response.set("Content-Encoding", encoding);
  // The checkout may lie under a directory whose name begins with a dot.
  response.sendFile(path, { dotfiles: "allow", cacheControl: false, acceptRanges: false, lastModified: false });
}
