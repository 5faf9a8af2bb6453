/** `/mcp`: the calls of `mcp/tools.ts` as tools of the Model Context Protocol, so that an LLM hands work to the fleet. */
import { z } from "zod";
import { refusal } from "../contract/service-answers.ts";
import { Forbidden } from "../errors.ts";
import type { McpDeps } from "./mcp/serve.ts";
import { InvalidValue } from "./parse-request.ts";
import { READERS, type Route, route } from "./route.ts";

export interface McpOptions {
  /** The origins whose pages may call the service. */
  allowedOrigins: readonly string[];
  /** Aborted when the service begins to stop. */
  stopping: AbortSignal;
}

const ONLY_POST = "This address takes POST alone: the server keeps no sessions, and opens no stream of its own accord.";

/** What is wrong, as this service says it or as the protocol does. */
const fault = z.union([
  refusal,
  z
    .object({
      jsonrpc: z.literal("2.0"),
      error: z
        .looseObject({
          code: z.int().describe("The protocol's number of the fault."),
          message: z.string().describe("What is wrong."),
        })
        .describe("What is wrong, by the protocol."),
      id: z
        .union([z.string(), z.int()])
        .nullable()
        .exactOptional()
        .describe("The id of the message; null: it has none."),
    })
    .meta({ id: "ProtocolFault", description: "A message of the tool protocol that was refused." }),
]);

/** The calls, and with them `/mcp`, which makes tools of some of them. A tool may be used with the keys that its call takes. */
export function withMcp(others: readonly Route[], { allowedOrigins, stopping }: McpOptions): Route[] {
  const deps: McpDeps = { routes: others, stopping };
  return [
    ...others,
    route({
      name: "useTools",
      summary: "Use the service as tools of the Model Context Protocol",
      description: "Streamable HTTP without sessions. docs/mcp.md lists the tools and says how a client is connected.",
      method: "post",
      path: "/mcp",
      access: READERS,
      body: "long",
      answers: {
        200: {
          means: "The answer of the protocol, in which a tool that was refused is marked.",
          other: {
            "application/json": "A JSON-RPC answer.",
            "text/event-stream": "The same as an event, after those that tell of progress.",
          },
        },
        202: "A notification was taken.",
        400: { means: "The body is no single message of the protocol.", json: fault },
        403: "A page whose origin is not in `CORS_ORIGINS` sends this.",
        404: { means: "The protocol has no such method.", json: fault },
        406: { means: "`Accept` must name `application/json` and `text/event-stream`.", json: fault },
        415: { means: "The body must be JSON.", json: fault },
      },
      handle: async (call) => {
        requireKnownOrigin(call.request.get("origin"), allowedOrigins);
        // A list of messages would use many tools and count as one request. The protocol has no such lists since 2025-06-18.
        if (Array.isArray(call.request.body))
          throw new InvalidValue("The body must be one message, not a list of them.");
        if (call.request.body === undefined) throw new InvalidValue("The body must be a message of JSON-RPC.");
        // The packages for this are loaded for the first caller, so that a service without one does not pay for them.
        const { serveMcp } = await import("./mcp/serve.ts");
        await serveMcp(call, deps);
      },
    }),
    route({
      name: "refuseToolStream",
      summary: "Learn that there is no stream without a request",
      method: "get",
      path: "/mcp",
      access: READERS,
      answers: { 405: ONLY_POST },
      handle: ({ response }) => response.status(405).set("Allow", "POST").json({ error: ONLY_POST }),
    }),
  ];
}

/**
 * Forbidden: a page in a browser sends this, and is not one of those that may. A page that has made its own name point to this service's
 * address needs no permission for a request "to itself", but cannot hide its origin.
 */
function requireKnownOrigin(origin: string | undefined, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes(origin)) return;
  throw new Forbidden("A page in a browser may use the tools only where CORS_ORIGINS names its origin.");
}
