/** What the model is asked. A long prompt is read when somebody wants it. */
import { useEffect, useState } from "preact/hooks";
import type { SlimTask, Task } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { LongText } from "../../parts/long-text.tsx";
import { client } from "../../session.ts";
import { bytesText, texts } from "../../texts.ts";

/** A request of this size is read at once. */
const AT_ONCE_BYTES = 100_000;

export function Prompt({ task: { id, size_bytes, prompt_bytes } }: { task: SlimTask }) {
  const [whole, setWhole] = useState<Task | undefined>();
  const [fault, setFault] = useState<unknown>();
  const size = size_bytes ?? prompt_bytes;
  const fetchIt = () => {
    setFault(undefined);
    client.getTask({ id }).then(setWhole, setFault);
  };
  useEffect(() => {
    if (size <= AT_ONCE_BYTES) fetchIt();
  }, [id]);
  const words = texts.value.task;
  return (
    <section class="card">
      <h2>{words.prompt}</h2>
      <Fault of={fault} retry={fetchIt} />
      {whole ? (
        <>
          <LongText text={whole.prompt} />
          <More name="context_hints" value={whole.context_hints.length > 0 ? whole.context_hints : null} />
          <More name="structured_input" value={whole.structured_input} />
          <More name="attachments" value={whole.attachments.length > 0 ? whole.attachments : null} />
          <More name="output_schema" value={whole.output_schema} />
        </>
      ) : (
        size > AT_ONCE_BYTES && (
          <button type="button" onClick={fetchIt}>
            {words.readPrompt(bytesText(size))}
          </button>
        )
      )}
    </section>
  );
}

/** A further field of the request, where it has one. */
function More({ name, value }: { name: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  return (
    <details>
      <summary>
        <code>{name}</code>
      </summary>
      <LongText text={JSON.stringify(value, null, 2)} />
    </details>
  );
}
