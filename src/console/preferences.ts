/** What the reader has chosen for this browser: language, colours, keys. It is kept in the browser, and nowhere else. */
import { computed, effect, type Signal, signal } from "@preact/signals";
import { keepChoice, keptChoice } from "./kept-choices.ts";
import { LANGUAGES, type Language, preferredLanguage } from "./language.ts";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const language = kept<Language>("language", LANGUAGES, preferredLanguage());
/** The reader's own variety of the language, where the browser names one: it decides how times are written. */
export const locale = computed(
  () => navigator.languages.find((each) => each.startsWith(language.value)) ?? language.value,
);
export const theme = kept<Theme>("theme", THEMES, "system");
export const shortcuts = kept<"on" | "off">("shortcuts", ["on", "off"], "on");

effect(() => {
  document.documentElement.lang = language.value;
  document.documentElement.dataset.theme = theme.value;
});

/** A signal whose value outlives the page. Where the browser keeps nothing, it lasts as long as the page. */
function kept<Value extends string>(name: string, values: readonly Value[], fallback: Value): Signal<Value> {
  const before = keptChoice(name);
  const made = signal(values.find((value) => value === before) ?? fallback);
  effect(() => keepChoice(name, made.value));
  return made;
}
