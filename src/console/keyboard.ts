/** Keys: `g` and a page's letter, `?`, `/`, and those that the page on view has. They never act while a field has the focus. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { shortcuts } from "./preferences.ts";
import { go } from "./router.ts";

export type Keys = Record<string, () => void>;

export const isHelpOpen = signal(false);

/** How long after `g` the letter of a page counts. */
const CHORD_MS = 1_200;

const active = new Set<{ current: Keys }>();
let chordUntil = 0;

/** While the component is on view, these keys do this. */
export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    active.add(latest);
    return () => void active.delete(latest);
  }, []);
}

const isField = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Makes keys act from now on; `addresses` are those of the pages by their letters. */
export function followKeys(addresses: Record<string, string>): void {
  addEventListener("keydown", (event) => {
    if (shortcuts.value === "off" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    if (isField(target) && !(target instanceof HTMLInputElement && target.type === "checkbox")) {
      if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const action = actionOf(event, addresses);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf(
  { key, target, timeStamp }: KeyboardEvent,
  addresses: Record<string, string>,
): (() => void) | undefined {
  if (timeStamp < chordUntil) {
    chordUntil = 0;
    const address = addresses[key];
    return address === undefined ? undefined : () => go(address);
  }
  // Enter and the space bar press what has the focus.
  if ((key === "Enter" || key === " ") && target instanceof Element && target.closest("a, button, summary, input"))
    return undefined;
  if (key === "g")
    return () => {
      chordUntil = timeStamp + CHORD_MS;
    };
  if (key === "?")
    return () => {
      isHelpOpen.value = true;
    };
  const field = document.querySelector<HTMLElement>("[data-filter]");
  if (key === "/" && field) return () => field.focus();
  return [...active].map(({ current }) => current[key]).find((each) => each !== undefined);
}
