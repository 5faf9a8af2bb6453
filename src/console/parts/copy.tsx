/** Copies a text. Over plain HTTP browsers have no clipboard for pages, and the older way is taken. */
import { useState } from "preact/hooks";
import { texts } from "../texts.ts";
import { Icon } from "./icon.tsx";

const SHOWN_MS = 1_500;

async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "offscreen";
  // Within an open dialog, nothing outside of it can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  const { copy, copied } = texts.value.common;
  const onClick = async () => {
    setCopied(await copyText(text));
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button type="button" class="quiet" onClick={onClick} title={label ?? copy}>
      <Icon name={isCopied ? "check" : "copy"} />
      <span class={label === undefined ? "offscreen" : undefined}>{isCopied ? copied : (label ?? copy)}</span>
    </button>
  );
}
