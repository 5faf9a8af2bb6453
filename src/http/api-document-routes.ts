/** `/api/runtime/openapi.json` and `/docs`: what the calls are, for programs and for people. */
import type { Request, Response } from "express";
import { z } from "zod";
import { VERSION } from "../package-folder.ts";
import { sha256Of } from "../sha256.ts";
import type { Answers } from "./answer-declarations.ts";
import { documentOf } from "./openapi/document.ts";
import { htmlPageOf } from "./openapi/page.ts";
import { STYLE } from "./openapi/style.ts";
import { type Route, route } from "./route.ts";

const STYLE_PATH = "/docs/style.css";
/** Nothing but the style is loaded, and nothing is run. */
const PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const openApiDocument = z.looseObject({
  openapi: z.string().meta({ description: "The version of OpenAPI.", examples: ["3.1.1"] }),
});

const KNOWN: Answers = { 304: { means: "The client has it already.", headers: ["ETag"] } };
const shown = (type: string, means: string): Answers => ({
  200: { means, other: { [type]: means }, headers: ["ETag"] },
  ...KNOWN,
});

/** The calls, and the calls that describe them. These are open: what they say is the same for every service, and holds nothing of this one. */
export function withDocuments(others: readonly Route[]): Route[] {
  const routes = [...others];
  const document = once(() => documentOf(routes, VERSION));
  const json = once(() => textOf(JSON.stringify(document())));
  const page = once(() => textOf(htmlPageOf(document(), STYLE_PATH)));
  const style = once(() => textOf(STYLE));
  routes.push(
    route({
      name: "getDocument",
      summary: "Read what the calls are, as OpenAPI 3.1",
      method: "get",
      path: "/api/runtime/openapi.json",
      access: "anybody",
      headers: ["If-None-Match"],
      answers: {
        200: { means: "The document.", json: openApiDocument, headers: ["ETag"] },
        ...KNOWN,
      },
      handle: ({ request, response }) => send(request, response, "application/json", json()),
    }),
    route({
      name: "getPage",
      summary: "Read what the calls are, as a page",
      method: "get",
      path: "/docs",
      access: "anybody",
      headers: ["If-None-Match"],
      answers: shown("text/html", "The page."),
      handle: ({ request, response }) => {
        response.set("Content-Security-Policy", PAGE_POLICY);
        send(request, response, "text/html", page());
      },
    }),
    route({
      name: "getStyle",
      summary: "Read the style of that page",
      method: "get",
      path: STYLE_PATH,
      access: "anybody",
      headers: ["If-None-Match"],
      answers: shown("text/css", "The style."),
      handle: ({ request, response }) => send(request, response, "text/css", style()),
    }),
  );
  return routes;
}

interface Text {
  text: string;
  etag: string;
}

const textOf = (text: string): Text => ({ text, etag: `"${sha256Of(text)}"` });

/** Makes a value at its first use, and keeps it. To build the document took 0.3 s on a busy machine: too long for every start and every request. */
function once<Made>(make: () => Made): () => Made {
  let made: { is: Made } | undefined;
  return () => {
    made ??= { is: make() };
    return made.is;
  };
}

function send(request: Request, response: Response, type: string, { text, etag }: Text): void {
  response.set({ ETag: etag, "Cache-Control": "no-cache" });
  if (request.fresh) response.status(304).end();
  else response.type(type).send(text);
}
