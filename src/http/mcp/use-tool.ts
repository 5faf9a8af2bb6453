import { z } from "zod";
import { taskRecord } from "../../contract/task-record.ts";
import { InvalidValue } from "../parse-request.ts";
import type { Route } from "../route.ts";
import { type Arguments, type CallInput, divideArguments } from "./arguments.ts";
import { callRoute, type OuterCall, type RouteAnswer } from "./call-route.ts";
import { failure, type ToolResult, toolResult } from "./tool-result.ts";
import { parseWait, type Tool } from "./tools.ts";

/** How often a waiting tool tells how far the task is: after a second, then after twice as long as the time before, up to this. */
const MOST_SECONDS_BETWEEN_REPORTS = 10;

export interface ToolUse extends OuterCall {
  /** True when the client has given up, or the service stops. */
  isOver(): boolean;
  /** Tells the client how far it is. */
  report(seconds: number, message: string): Promise<void>;
}

/** Uses a tool, which makes its call. What the call refuses is an answer too. */
export async function useTool(tool: Tool, route: Route, given: Arguments, use: ToolUse): Promise<ToolResult> {
  try {
    return tool.waits ? await waitForTask(tool, route, given, use) : await callOnce(tool, route, given, use);
  } catch (error) {
    if (error instanceof InvalidValue) return failure(error.message);
    throw error;
  }
}

async function callOnce(tool: Tool, route: Route, given: Arguments, use: ToolUse): Promise<ToolResult> {
  const input = divideArguments(tool, route, given);
  const answer = await callRoute(route, input, use);
  return toolResult(tool, answer, whereToRead(route, input, answer));
}

const changedTask = taskRecord.pick({ id: true });
const unended = z.object({
  task: taskRecord.pick({ status: true, worker_id: true, attempts: true, max_attempts: true }),
});

/** How the record can be read whole: by the call itself, or by reading the task that it answered. */
function whereToRead({ method, path }: Route, { params }: CallInput, { body }: RouteAnswer): string {
  if (method === "get") return `GET ${path.replace(":id", params.id ?? "")}`;
  return `GET /api/runtime/llm-tasks/${changedTask.safeParse(body).data?.id}`;
}

/** Calls again until the call answers that the task has ended, or the time is over. */
async function waitForTask(tool: Tool, route: Route, given: Arguments, use: ToolUse): Promise<ToolResult> {
  const { wait_seconds, ...others } = given;
  const waitMs = parseWait(wait_seconds) * 1_000;
  const began = performance.now();
  for (let between = 1; ; between = Math.min(2 * between, MOST_SECONDS_BETWEEN_REPORTS)) {
    const leftMs = Math.max(0, waitMs - (performance.now() - began));
    const seconds = Math.min(leftMs / 1_000, between).toFixed(3);
    const input = divideArguments(tool, route, { ...others, wait_seconds: seconds });
    const answer = await callRoute(route, input, use);
    const hasTime = performance.now() - began < waitMs && !use.isOver();
    if (answer.status !== 202 || !hasTime) return toolResult(tool, answer, whereToRead(route, input, answer));
    await use.report(Math.round((performance.now() - began) / 1_000), progressOf(answer.body));
  }
}

function progressOf(body: unknown): string {
  const { task } = unended.parse(body);
  const by = task.worker_id === null ? "" : ` by ${task.worker_id}`;
  return `The task is ${task.status}${by}, attempt ${task.attempts} of ${task.max_attempts}.`;
}
