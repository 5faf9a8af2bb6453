import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import type { Task } from "../contract/views.ts";
import { messageOf } from "../errors.ts";

/** A task's output and some words around it. */
const MAX_ANSWER_BYTES = 20 * 1024 * 1024;

/** What a node agent answers when the Claude CLI has ended (contract.md, "What the node agents really do"). */
const execution = z.object({
  ok: z.boolean(),
  output: z.string().nullish(),
  error: z.string().nullish(),
  duration_ms: z.number().min(0).nullish(),
  returncode: z.number().nullish(),
});
export type Execution = z.output<typeof execution>;

/** The agent did not execute the task, or nobody knows; `message` says why. `refused` when it certainly has not begun. */
export class AgentFault extends Error {
  readonly refused: boolean;
  constructor(message: string, refused: boolean) {
    super(message);
    this.refused = refused;
  }
}

/**
 * Lets the node agent at `url` execute the task; the call lasts as long as that does. The key goes to this address only: a redirect is an
 * answer like any other that is not 2xx. Throws an AgentFault.
 */
export async function executeOn(
  url: string,
  agentKey: string,
  task: Task,
  runtimeUrl: string | undefined,
  signal: AbortSignal,
): Promise<Execution> {
  const { id, prompt, context_id, agent_slug, desired_format, context_hints, policy } = task;
  const order = {
    task_id: id,
    prompt,
    context_id,
    agent_slug,
    desired_format,
    context_hints,
    policy,
    runtime_url: runtimeUrl,
  };
  const { status, text } = await post(
    `${url.replace(/\/+$/, "")}/execute-task`,
    agentKey,
    JSON.stringify(order),
    signal,
  );
  if (status < 200 || status > 299) throw new AgentFault(`The agent answered ${status}`, true);
  try {
    return execution.parse(JSON.parse(text));
  } catch {
    throw new AgentFault("The agent's answer is not what an agent answers", false);
  }
}

/** Not fetch: that gives up after 300 s without an answer, and a task may take an hour. */
function post(
  url: string,
  agentKey: string,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let isSent = false;
    const fail = (error: unknown) =>
      reject(new AgentFault(`The agent cannot be reached: ${messageOf(error)}`, !isSent));
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      ...(agentKey && { "x-membridge-agent": agentKey }),
    };
    const send = url.startsWith("https:") ? httpsRequest : httpRequest;
    const call = send(url, { method: "POST", headers, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES)
          call.destroy(new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`));
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", fail);
    });
    call.on("socket", (socket) => {
      socket.setKeepAlive(true, 30_000);
      if (!socket.connecting) isSent = true;
      socket.once("connect", () => {
        isSent = true;
      });
    });
    call.on("error", fail);
    call.end(body);
  });
}
