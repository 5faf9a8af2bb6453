/** Makes a new task of an old one, with changes. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Task } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";

export interface ReplayProps {
  id: string;
  replay(changes: { [name: string]: unknown }): Promise<void>;
  close(): void;
}

export function Replay({ id, replay, close }: ReplayProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [old, setOld] = useState<Task | undefined>();
  const [fault, setFault] = useState<unknown>();
  const words = texts.value.task.replay;
  useEffect(() => {
    dialog.current?.showModal();
    client.getTask({ id }).then(setOld, setFault);
  }, [id]);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!old) return;
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const given = (name: string) => String(form.get(name) ?? "");
    const model = given("model").trim();
    const fields: [name: string, value: unknown, before: unknown][] = [
      ["prompt", given("prompt"), old.prompt],
      ["agent_slug", given("agent_slug"), old.agent_slug],
      ["context_id", given("context_id"), old.context_id],
      ["max_attempts", Number(given("max_attempts")), old.max_attempts],
      ["priority", Number(given("priority")), old.priority],
    ];
    const changed = fields.filter(([, value, before]) => value !== before).map(([name, value]) => [name, value]);
    const policy =
      model === (old.policy.model ?? "") ? {} : { policy: { ...old.policy, model: model === "" ? null : model } };
    setFault(undefined);
    await replay({ ...Object.fromEntries(changed), ...policy }).catch(setFault);
  };
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="replay-title" class="wide-dialog">
      <h2 id="replay-title">{words.title}</h2>
      <p class="soft">{words.means}</p>
      {old && (
        <form onSubmit={submit} class="form">
          <Field name="prompt" label={words.prompt} value={old.prompt} isLong />
          <div class="grid">
            <Field name="agent_slug" label={words.agent} value={old.agent_slug} />
            <Field name="context_id" label={words.context} value={old.context_id} />
            <Field name="model" label={words.model} value={old.policy.model ?? ""} />
            <Field name="max_attempts" label={words.attempts} value={old.max_attempts} />
            <Field name="priority" label={words.priority} value={old.priority} />
          </div>
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

function Field({
  name,
  label,
  value,
  isLong,
}: {
  name: string;
  label: string;
  value: string | number;
  isLong?: boolean;
}) {
  const id = useId();
  const text = String(value);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {isLong && <textarea id={id} name={name} rows={8} defaultValue={text} />}
      {!isLong && typeof value === "number" && <input id={id} name={name} type="number" defaultValue={text} />}
      {!isLong && typeof value === "string" && <input id={id} name={name} defaultValue={text} />}
    </div>
  );
}
