/** What calls of a kind may be refused with before or while they are made, whatever they do; each is a component of the document. */
import { invalidBody, refusal } from "../../contract/service-answers.ts";
import type { RouteFacts } from "../route.ts";
import { exampleOf } from "./example.ts";
import { ANSWER_HEADERS } from "./headers.ts";
import type { Schema, Schemas } from "./schemas.ts";

const RETRY = { "Retry-After": { description: ANSWER_HEADERS["Retry-After"], schema: { type: "string" } } };

const REFUSALS = {
  400: {
    name: "Invalid",
    means: "The body, the query, a header or the path is not valid; `error` says what is wrong.",
  },
  401: { name: "NoKey", means: "The key in `X-Runtime-API-Key` is missing, wrong or revoked." },
  403: { name: "NotAllowed", means: "A key with this role may not make this call, or a worker acts for another." },
  408: { name: "TooSlow", means: "The body did not arrive in time." },
  413: { name: "TooLarge", means: "The body is too large." },
  415: {
    name: "NotReadable",
    means: "The body has a media type, a charset or an encoding that the call does not take.",
  },
  429: { name: "TooMany", means: "A limit of requests or of wrong keys is reached.", headers: RETRY },
  500: { name: "Fault", means: "The service is at fault; its log says why." },
  503: {
    name: "Unavailable",
    means: "The database or the service cannot do it now. Nothing was stored.",
    headers: RETRY,
  },
  507: { name: "DiskFull", means: "The database's disk is full. Nothing was stored." },
};
type Status = keyof typeof REFUSALS;

/** References to what a call like this one may be refused with. */
export function refusalsOf({ access, method, body, limit }: RouteFacts): Record<string, { $ref: string }> {
  const hasKey: Status[] = access === "anybody" ? [] : [401, 403];
  const hasBody: Status[] = method === "get" || body === "none" ? [] : [408, 413, 415];
  const isLimited: Status[] = access === "anybody" && limit === "none" ? [] : [429];
  const all: Status[] = [400, ...hasKey, ...hasBody, ...isLimited, 500, 503, 507];
  return Object.fromEntries(all.map((status) => [status, { $ref: `#/components/responses/${REFUSALS[status].name}` }]));
}

/** The components that `refusalsOf` refers to. */
export function refusalComponents(schemas: Schemas): Record<string, object> {
  const [one, fields] = [schemas.answered(refusal), schemas.answered(invalidBody)];
  const contentOf = (schema: Schema, ...examples: object[]) => ({
    "application/json": { schema, example: examples[0] ?? exampleOf(one, schemas.components) },
  });
  return Object.fromEntries(
    Object.entries(REFUSALS).map(([status, { name, means, ...headers }]) => {
      const content =
        status === "400"
          ? contentOf({ anyOf: [one, fields] }, exampleOf(fields, schemas.components) as object)
          : contentOf(one);
      return [name, { description: means, ...headers, content }];
    }),
  );
}
