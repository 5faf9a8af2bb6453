/** A new task: its form, and the curl that does the same. */
import { useState } from "preact/hooks";
import type { CreateTaskArgs } from "../../client/index.ts";
import { CopyButton } from "../parts/copy.tsx";
import { Fault } from "../parts/fault.tsx";
import { quoted } from "../parts/shell-word.ts";
import { addressOf, go } from "../router.ts";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { Field, type FieldFacts } from "./new-task/field.tsx";
import { argsOf, MAIN, MORE, type TaskForm } from "./new-task/form.ts";

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

const curlOf = (args: CreateTaskArgs) => `curl ${quoted(`${location.origin}/api/runtime/llm-tasks`)} \\
  -H 'Content-Type: application/json' -H "X-Runtime-API-Key: $RUNTIME_API_KEY" \\
  -d ${quoted(JSON.stringify(args, null, 2))}`;
