/** The form that makes a new task of an old one, with changes. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Task } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { Field, type FieldFacts } from "../new-task/field.tsx";
import { changesOf, formOf, MAIN, MORE, type TaskForm } from "../new-task/form.ts";

export interface ReplayFormProps {
  id: string;
  replay(changes: { [name: string]: unknown }): Promise<void>;
  close(): void;
}

export function ReplayForm({ id, replay, close }: ReplayFormProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [old, setOld] = useState<Task | undefined>();
  const [form, setForm] = useState<TaskForm>({});
  const [fault, setFault] = useState<unknown>();
  const words = texts.value.task.replay;
  useEffect(() => {
    dialog.current?.showModal();
    client.getTask({ id }).then((task) => {
      setForm(formOf(task));
      setOld(task);
    }, setFault);
  }, [id]);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!old) return;
    setFault(undefined);
    await replay(changesOf(form, old)).catch(setFault);
  };
  const field = (facts: FieldFacts) => (
    <Field
      key={facts.name}
      facts={facts}
      value={form[facts.name] ?? ""}
      set={(name, value) => setForm((before) => ({ ...before, [name]: value }))}
    />
  );
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="replay-title" class="wide-dialog">
      <h2 id="replay-title">{words.title}</h2>
      <p class="soft">{words.means}</p>
      {old && (
        <form onSubmit={submit} class="form">
          {MAIN.toReversed().map(field)}
          <div class="grid">{MORE.map(field)}</div>
          <Fault of={fault} />
          <div class="buttons">
            <button type="button" onClick={() => dialog.current?.close()}>
              {texts.value.common.cancel}
            </button>
            <button type="submit" class="primary">
              {texts.value.tasks.bulk.replay.name}
            </button>
          </div>
        </form>
      )}
      {!old && <Fault of={fault} />}
    </dialog>
  );
}
