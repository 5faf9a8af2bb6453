/** Asks once before something that cannot be undone: what will be done, and to how many. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { texts } from "../texts.ts";

export interface Question {
  title: string;
  /** What will happen, and to what. */
  body: ComponentChildren;
  /** The word on the button that does it. */
  action: string;
  isDangerous?: boolean;
}

const asked = signal<(Question & { answer(isConfirmed: boolean): void }) | undefined>(undefined);

/** Shows the question; resolves to whether it was confirmed. */
export function confirm(question: Question): Promise<boolean> {
  asked.value?.answer(false);
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer: (isConfirmed) => {
        asked.value = undefined;
        resolve(isConfirmed);
      },
    };
  });
}

export function Confirm() {
  const dialog = useRef<HTMLDialogElement>(null);
  const { value } = asked;
  useEffect(() => {
    if (value) dialog.current?.showModal();
  }, [value]);
  if (!value) return null;
  return (
    <dialog ref={dialog} class="confirm" onClose={() => value.answer(false)} aria-labelledby="confirm-title">
      {/* The browser says what is wrong with a field, and sends nothing then. */}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          value.answer(true);
        }}
      >
        <h2 id="confirm-title">{value.title}</h2>
        <div>{value.body}</div>
        <div class="buttons">
          <button type="button" onClick={() => value.answer(false)}>
            {texts.value.common.cancel}
          </button>
          <button type="submit" class={value.isDangerous ? "danger" : "primary"}>
            {value.action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
