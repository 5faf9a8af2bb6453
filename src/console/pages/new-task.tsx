/** A new task: its form, and the curl that does the same. */
import { useState } from "preact/hooks";
import type { CreateTaskArgs } from "../../client/index.ts";
import { CopyButton } from "../parts/copy.tsx";
import { Fault } from "../parts/fault.tsx";
import { addressOf, go } from "../router.ts";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { Field, type FieldFacts } from "./new-task/field.tsx";

/** The fields that most tasks need, and those behind "More". The limits are those of the call. */
const MAIN: readonly FieldFacts[] = [
  { name: "agent_slug", kind: "text", required: true, maxLength: 256 },
  { name: "context_id", kind: "text", required: true, maxLength: 512 },
  { name: "prompt", kind: "long", required: true },
];
const MORE: readonly FieldFacts[] = [
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

export default function NewTask() {
  const words = texts.value.newTask;
  const [form, setForm] = useState<TaskForm>({});
  const [fault, setFault] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const args = argsOf(form);
  const set = (name: string, value: string) => setForm((before) => ({ ...before, [name]: value }));
  const create = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setFault(undefined);
    try {
      const { id } = await client.createTask(args);
      go(addressOf("tasks", id));
    } catch (error) {
      setFault(error);
      setBusy(false);
    }
  };
  const fields = (facts: readonly FieldFacts[]) =>
    facts.map((each) => <Field key={each.name} facts={each} value={form[each.name] ?? ""} set={set} />);
  const curl = curlOf(args);
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <form class="card form" onSubmit={create}>
        {fields(MAIN)}
        <details>
          <summary>{words.more}</summary>
          <div class="grid">{fields(MORE)}</div>
        </details>
        <Fault of={fault} />
        <div class="buttons">
          <button type="submit" class="primary" disabled={isBusy}>
            {words.create}
          </button>
        </div>
      </form>
      <section class="card" aria-label={words.curl}>
        <div class="head">
          <h2>{words.curl}</h2>
          <CopyButton text={curl} label={texts.value.common.copy} />
        </div>
        <pre class="code">{curl}</pre>
      </section>
    </main>
  );
}

/** What the form asks for; a field that is empty is left to the service. */
function argsOf(form: TaskForm): CreateTaskArgs {
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
      requires: form.requires
        ?.split(",")
        .map((label) => label.trim())
        .filter(Boolean),
      concurrency_key: concurrency_key || undefined,
      policy: Object.keys(policy).length > 0 ? policy : undefined,
      limits: max_usd === undefined ? undefined : { max_usd },
    }),
  };
}

function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>;
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

const curlOf = (args: CreateTaskArgs) => `curl ${quoted(`${location.origin}/api/runtime/llm-tasks`)} \\
  -H 'Content-Type: application/json' -H "X-Runtime-API-Key: $RUNTIME_API_KEY" \\
  -d ${quoted(JSON.stringify(args, null, 2))}`;
