/** The protocol's side of `/mcp`. Only this file knows the packages for it. */
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { createMcpHandler, ProtocolError, ProtocolErrorCode, Server } from "@modelcontextprotocol/server";
import { messageOf } from "../../errors.ts";
import { VERSION } from "../../package-folder.ts";
import { clientGone } from "../client-gone.ts";
import type { Route } from "../route.ts";
import { inputSchemaOf } from "./arguments.ts";
import type { OuterCall } from "./call-route.ts";
import { TOOLS, type Tool } from "./tools.ts";
import { useTool } from "./use-tool.ts";

export interface McpDeps {
  /** The calls of which tools are made. */
  routes: readonly Route[];
  /** Aborted when the service begins to stop. */
  stopping: AbortSignal;
}

const INSTRUCTIONS =
  "BLOOM Runtime hands LLM tasks to workers on other machines. create_task queues one, wait_for_task waits for its result. explain_task says why a task does not move.";

/** Answers one message of the protocol. Nothing is kept between messages, so that any instance may answer the next. */
export async function serveMcp({ request, response, db }: Omit<OuterCall, "gone">, deps: McpDeps): Promise<void> {
  const gone = clientGone(response);
  const call = { request, response, db, gone };
  const handler = createMcpHandler(() => serverFor(call, deps), {
    // An answer that takes its time is a stream from the beginning: its comments keep proxies from giving up.
    responseMode: "sse",
    // There is nothing to subscribe to.
    maxSubscriptions: 0,
    onerror: (error) => db.log.debug({ reason: messageOf(error) }, "a message of the tool protocol was refused"),
  });
  const headers = Object.entries(request.headers).flatMap(([name, value]) =>
    typeof value === "string" && !name.startsWith(":") ? [[name, value] as [string, string]] : [],
  );
  const message = new Request("http://localhost/mcp", { method: "POST", headers, signal: gone });
  const answer = await handler.fetch(message, { parsedBody: request.body });
  response.status(answer.status);
  for (const [name, value] of answer.headers) response.setHeader(name, value);
  if (answer.body === null) return void response.end();
  response.flushHeaders();
  const stream = Readable.fromWeb(answer.body as ReadableStream, { signal: gone });
  stream.on("error", () => response.destroy());
  stream.pipe(response);
}

/** A server for one message: with the caller's own key its tools do what the caller may do. */
function serverFor(call: OuterCall, { routes, stopping }: McpDeps): Server {
  const server = new Server(
    { name: "bloom-runtime", title: "BLOOM Runtime", version: VERSION },
    { capabilities: { tools: {} }, instructions: INSTRUCTIONS },
  );
  const routeOf = ({ route: name }: Tool): Route => {
    const found = routes.find((each) => each.name === name);
    if (!found) throw new Error(`A tool makes the call ${name}, which is not declared.`);
    return found;
  };
  server.setRequestHandler("tools/list", () => ({ tools: TOOLS.map((tool) => described(tool, routeOf(tool))) }));
  server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => {
    const tool = TOOLS.find(({ name }) => name === params.name);
    if (!tool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, unknownTool(params.name));
    call.response.locals.tool = tool.name;
    const progressToken = mcpReq._meta?.progressToken;
    const report = async (progress: number, message: string) => {
      if (progressToken === undefined) return;
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, message } });
    };
    const isOver = () => mcpReq.signal.aborted || stopping.aborted;
    return useTool(tool, routeOf(tool), params.arguments ?? {}, { ...call, report, isOver });
  });
  return server;
}

function described(tool: Tool, route: Route) {
  const { name, title, description, annotations } = tool;
  const inputSchema = { ...inputSchemaOf(tool, route), type: "object" as const };
  return { name, title, description, annotations: { title, openWorldHint: false, ...annotations }, inputSchema };
}

const unknownTool = (name: string) =>
  `There is no tool "${name.slice(0, 100)}"; there are: ${TOOLS.map((tool) => tool.name).join(", ")}.`;
