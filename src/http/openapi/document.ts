import { invalidBody, refusal } from "../../contract/service-answers.ts";
import type { OwnKey, RouteFacts } from "../route.ts";
import { operationOf } from "./operation.ts";
import type { Answered, Operation } from "./operation-object.ts";
import { refusalComponents } from "./refusals.ts";
import { createSchemas, type Schema } from "./schemas.ts";

const ABOUT = `Takes tasks for LLMs over HTTP and hands each to one worker under a time-limited lease.

Times are epoch milliseconds, ids are UUIDs, and a worker's id is its name. Lists are bare arrays, newest first; \`Link\` says where the next page
is. Unknown fields of a body are ignored, and unknown query parameters refused. Every answer has \`X-Request-Id\`, the client's own where it
sent one, and \`X-Bloom-Runtime: 1\`: an answer without that is a proxy's.`;

/** The keys that open one call each. */
const OWN_KEYS: Record<OwnKey, object> = {
  METRICS_KEY: {
    type: "http",
    scheme: "bearer",
    description: "The setting `METRICS_KEY`, for who reads the metrics and nothing else.",
  },
};

export interface Document {
  openapi: string;
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    responses: Record<string, Answered>;
    securitySchemes: Record<string, object>;
  };
}

/** The OpenAPI 3.1 document of these calls. */
export function documentOf(routes: readonly RouteFacts[], version: string): Document {
  const schemas = createSchemas(routes, [refusal, invalidBody]);
  const paths: Document["paths"] = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method]: operationOf(route, schemas) };
  }
  const responses = refusalComponents(schemas);
  const key = {
    type: "apiKey",
    in: "header",
    name: "X-Runtime-API-Key",
    description:
      "`RUNTIME_API_KEY`, or a named key with a role that the call allows. Where the service has no key, none is needed.",
  };
  return {
    openapi: "3.1.1",
    info: { title: "BLOOM Runtime", version, description: ABOUT },
    paths,
    components: { schemas: sorted(schemas.components), responses, securitySchemes: { key, ...OWN_KEYS } },
  };
}

const sorted = <Value>(named: Record<string, Value>): Record<string, Value> =>
  Object.fromEntries(Object.entries(named).sort(([one], [other]) => (one < other ? -1 : 1)));
