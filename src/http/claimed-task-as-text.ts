import type { LeasedTask } from "../contract/record-types.ts";
import { inputsOf } from "./task-input.ts";

/** The headers of a claim that is answered as text. A field that may be large is an input, which the worker reads with a call of its own. */
export function headersOfGrant({
  task,
  lease,
  resume_session,
  limits_left,
  traceparent,
}: LeasedTask): Record<string, unknown> {
  return {
    "Task-Id": task.id,
    "Lease-Id": lease.id,
    "Context-Id": task.context_id,
    "Agent-Slug": task.agent_slug,
    "Desired-Format": task.desired_format,
    "Timeout-Sec": task.policy.timeout_sec,
    Budget: task.policy.budget,
    Model: task.policy.model,
    "Agent-Kind": task.agent_kind,
    Attempt: task.attempts,
    "Ttl-Seconds": lease.ttl_seconds,
    "Resume-Session": resume_session,
    "Max-Usd": limits_left?.max_usd,
    "Max-Tokens": limits_left?.max_tokens,
    "Max-Turns": limits_left?.max_turns,
    Traceparent: traceparent,
    Inputs: inputsOf(task).join(" "),
  };
}
