/**
 * A stand-in node agent of either generation (neighbours.md). Both register once, execute on demand, complete by themselves, send
 * no lease id, and repeat nothing that fails. 0.4.0 sends one heartbeat, and answers when its CLI has ended, with the last 200 lines of the
 * output; a newer one answers at once, and sends heartbeats until it completes. The test gives what it runs in place of the Claude CLI.
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

/** Stands in for the Claude CLI. An error that it throws is a failure of the CLI. */
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
  generation?: "0.4.0" | "newer";
  /** Overrides of what its health says: another node's name, another status. */
  health?: Record<string, unknown>;
  /** Its completions never arrive. */
  losesCompletions?: boolean;
}

const ANSWERED_LINES = 200;
const BEAT_MS = 50;

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
    const { cli = () => "done", generation = "0.4.0", health } = options;
    const call = `${asked.method} ${asked.path}`;
    if (call === "GET /health") answer(response, 200, { ...healthOf(name, generation), ...health });
    else if (!CALLS.has(call)) answer(response, 404, { detail: "Not Found" });
    else if (agentKey !== undefined && asked.headers["x-membridge-agent"] !== agentKey)
      answer(response, 401, { detail: "Unauthorized" });
    else if (call !== EXECUTE) answer(response, 200, { ok: true, node_id: name, did: asked.path });
    else if (cli === null) answer(response, 503, { detail: "Claude CLI not found on this node" });
    else if (generation === "0.4.0") answer(response, 200, await execute(asked.body as Execution, cli));
    else {
      answer(response, 200, { ok: true, started: true });
      void execute(asked.body as Execution, cli);
    }
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
    const beat = () => tell(`llm-tasks/${task_id}/heartbeat`, undefined, runtime_url);
    await beat();
    const beating = options.generation === "newer" ? setInterval(beat, BEAT_MS) : undefined;
    const started = performance.now();
    let output: string | null = null;
    let error_message: string | null = null;
    try {
      output = await run(execution);
    } catch (error) {
      error_message = String(error);
    }
    clearInterval(beating);
    const ok = error_message === null;
    const duration_ms = Math.round(performance.now() - started);
    const metrics = { duration_ms, tokens_used: null };
    const completion = { status: ok ? "success" : "error", output, error_message, metrics };
    if (!options.losesCompletions) await tell(`llm-tasks/${task_id}/complete`, completion, runtime_url);
    return { ok, task_id, ...(output !== null && { output: cut(output) }), duration_ms, returncode: ok ? 0 : 1 };
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

const EXECUTE = "POST /execute-task";
const CALLS = new Set([EXECUTE, "POST /self-update", "POST /restart", "POST /uninstall"]);

/** The last 200 lines, and how many there were besides. */
function cut(output: string): string {
  const lines = output.split("\n");
  const missing = lines.length - ANSWERED_LINES;
  return missing > 0 ? `... (${missing} lines truncated)\n${lines.slice(missing).join("\n")}` : output;
}

const healthOf = (name: string, generation: "0.4.0" | "newer") => ({
  status: "ok",
  service: "membridge-agent",
  version: generation === "newer" ? "0.6.1" : "0.4.0",
  hostname: name,
  node_id: name,
  os_info: "Linux 6.1.0 x86_64",
  arch: "x86_64",
  ...(generation === "newer" && { claude_cli_available: true, active_tasks: 0, uptime_seconds: 5 }),
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
