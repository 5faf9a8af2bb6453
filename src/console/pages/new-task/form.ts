/** What somebody may say of a task in the form of a new one, and of a replay. */
import type { CreateTaskArgs, Task } from "../../../client/index.ts";
import { labelsIn } from "../../parts/split-labels.ts";
import type { FieldFacts } from "./field.tsx";

/** The fields that most tasks need, and those behind "More". The limits are those of the call. */
export const MAIN: readonly FieldFacts[] = [
  { name: "agent_slug", kind: "text", required: true, maxLength: 256 },
  { name: "context_id", kind: "text", required: true, maxLength: 512 },
  { name: "prompt", kind: "long", required: true },
];
export const MORE: readonly FieldFacts[] = [
  { name: "desired_format", kind: "choice", values: ["text", "json", "markdown"] },
  { name: "model", kind: "text", maxLength: 256 },
  { name: "timeout_sec", kind: "number", min: 1, max: 3_600 },
  { name: "max_attempts", kind: "number", min: 1, max: 10 },
  { name: "priority", kind: "number", min: -100, max: 100 },
  { name: "requires", kind: "list" },
  { name: "concurrency_key", kind: "text", maxLength: 256 },
  { name: "max_usd", kind: "number", min: 0 },
];
export type TaskForm = Record<string, string>;

/** What the form asks for; a field that is empty is left to the service. */
export function argsOf(form: TaskForm): CreateTaskArgs {
  const number = (name: string) => (form[name] ? Number(form[name]) : undefined);
  const { agent_slug = "", context_id = "", prompt = "", model, concurrency_key } = form;
  const policy = defined({ model: model || undefined, timeout_sec: number("timeout_sec") });
  const max_usd = number("max_usd");
  return {
    context_id,
    agent_slug,
    prompt,
    ...defined({
      desired_format: (["text", "json", "markdown"] as const).find((each) => each === form.desired_format),
      max_attempts: number("max_attempts"),
      priority: number("priority"),
      requires: form.requires === undefined ? undefined : labelsIn(form.requires),
      concurrency_key: concurrency_key || undefined,
      policy: Object.keys(policy).length > 0 ? policy : undefined,
      limits: max_usd === undefined ? undefined : { max_usd },
    }),
  };
}

function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>;
}

/** The form as the task was asked for. */
export const formOf = ({ policy, limits, ...task }: Task): TaskForm => ({
  agent_slug: task.agent_slug,
  context_id: task.context_id,
  prompt: task.prompt,
  desired_format: task.desired_format,
  model: policy.model ?? "",
  timeout_sec: String(policy.timeout_sec),
  max_attempts: String(task.max_attempts),
  priority: String(task.priority),
  requires: task.requires.join(", "),
  concurrency_key: task.concurrency_key ?? "",
  max_usd: String(limits?.max_usd ?? ""),
});

/** The fields of a creation in which the form differs from the old task. A field that was emptied is null, which takes it away. */
export function changesOf(form: TaskForm, old: Task): { [name: string]: unknown } {
  const before = formOf(old);
  const changed = new Set(Object.keys(form).filter((name) => form[name] !== before[name]));
  const { policy, limits, ...fields } = argsOf(form);
  const given = new Map(Object.entries(fields));
  const direct = Object.keys(before).filter((name) => changed.has(name) && !IN_POLICY.has(name) && name !== "max_usd");
  return {
    ...Object.fromEntries(direct.map((name) => [name, given.get(name) ?? null])),
    ...([...IN_POLICY].some((name) => changed.has(name)) && {
      policy: { ...old.policy, model: policy?.model ?? null, timeout_sec: policy?.timeout_sec },
    }),
    ...(changed.has("max_usd") && { limits: { ...old.limits, max_usd: limits?.max_usd ?? null } }),
  };
}

const IN_POLICY: ReadonlySet<string> = new Set(["model", "timeout_sec"]);
