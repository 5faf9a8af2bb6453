/**
 * A stand-in node agent that behaves as version 0.4.0 was seen to do (neighbours.md): it registers once, executes on demand, sends one
 * heartbeat and one completion, no lease id, and repeats nothing that fails. The test gives what it runs in place of the Claude CLI.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What `POST /execute-task` takes. */
export interface Execution {
  task_id: string;
  prompt: string;
  context_id?: string;
  agent_slug?: string;
  desired_format?: string;
  context_hints?: string[];
  policy?: { timeout_sec: number; budget: number };
  runtime_url?: string;
}

/** Stands in for the Claude CLI. What it throws is a CLI that failed. */
export type Cli = (execution: Execution) => Promise<string> | string;

export interface NodeAgentOptions {
  /** The runtime's address. */
  runtime: string;
  name: string;
  /** Sent as X-Runtime-API-Key. */
  apiKey?: string;
  /** Wanted as X-MEMBRIDGE-AGENT; without one, every caller may execute. */
  agentKey?: string;
  /** Null: the CLI is missing. */
  cli?: Cli | null;
  /** Overrides of what it registers with. */
  registration?: Record<string, unknown>;
}

export interface AgentRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
}

export interface NodeAgent {
  url: string;
  name: string;
  /** What it has been asked, oldest first. */
  requests: AgentRequest[];
  /** Status and JSON that the runtime answered with, to its registration, heartbeats and completions, oldest first. */
  answers: { path: string; status: number; json: unknown }[];
  /** Stops listening and cuts open connections: the machine is gone. The runtime is not told. */
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1 and lets it register, once. */
export async function startNodeAgent(options: NodeAgentOptions): Promise<NodeAgent> {
  const { name, runtime, agentKey, registration = {} } = options;
  const server = createServer(async (request, response) => {
    const asked = await readRequest(request);
    agent.requests.push(asked);
    // Anew each time: it may be taken away and come back.
    const { cli = () => "done" } = options;
    const call = `${asked.method} ${asked.path}`;
    if (call === "GET /health") answer(response, 200, healthOf(name));
    else if (call !== "POST /execute-task") answer(response, 404, { detail: "Not Found" });
    else if (agentKey !== undefined && asked.headers["x-membridge-agent"] !== agentKey)
      answer(response, 401, { detail: "Unauthorized" });
    else if (cli === null) answer(response, 503, { detail: "Claude CLI not found on this node" });
    else answer(response, 200, await execute(asked.body as Execution, cli));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const agent: NodeAgent = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    name,
    requests: [],
    answers: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  async function tell(path: string, body?: unknown, base = runtime): Promise<void> {
    const headers = {
      "content-type": "application/json",
      ...(options.apiKey && { "x-runtime-api-key": options.apiKey }),
    };
    try {
      const said = await fetch(`${base}/api/runtime/${path}`, {
        method: "POST",
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      agent.answers.push({ path, status: said.status, json: await said.json() });
    } catch {
      // The runtime is away, or answers no JSON. The agent does not care, and does not try again.
    }
  }

  async function execute({ runtime_url, ...execution }: Execution, run: Cli) {
    const { task_id } = execution;
    await tell(`llm-tasks/${task_id}/heartbeat`, undefined, runtime_url);
    const started = performance.now();
    let output: string | null = null;
    let error_message: string | null = null;
    try {
      output = await run(execution);
    } catch (error) {
      error_message = String(error);
    }
    const ok = error_message === null;
    const duration_ms = Math.round(performance.now() - started);
    const metrics = { duration_ms, tokens_used: null };
    const completion = { status: ok ? "success" : "error", output, error_message, metrics };
    await tell(`llm-tasks/${task_id}/complete`, completion, runtime_url);
    return { ok, task_id, duration_ms, returncode: ok ? 0 : 1 };
  }

  await tell("workers", { ...registrationOf(agent), ...registration });
  return agent;
}

function registrationOf({ name, url }: NodeAgent) {
  return {
    name,
    url,
    status: "online",
    capabilities: { claude_cli: true, max_concurrency: 2, labels: ["systemd", "x86_64"] },
    ip_addrs: ["127.0.0.1"],
    agent_version: "0.4.0",
    os_info: "Linux 6.1.0 x86_64",
    install_method: "script",
  };
}

const healthOf = (name: string) => ({
  status: "ok",
  service: "membridge-agent",
  version: "0.4.0",
  hostname: name,
  node_id: name,
  os_info: "Linux 6.1.0 x86_64",
  arch: "x86_64",
});

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function readRequest(request: IncomingMessage): Promise<AgentRequest> {
  const { method = "", url = "", headers } = request;
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return { method, path: url, headers, body: text === "" ? undefined : JSON.parse(text) };
}
