/** What the reader has chosen for this browser: language, colours, keys. It is kept in the browser, and nowhere else. */
import { computed, effect, type Signal, signal } from "@preact/signals";

export const LANGUAGES = ["en", "uk"] as const;
export type Language = (typeof LANGUAGES)[number];
export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

/** A browser that is set to Ukrainian gets Ukrainian, every other one English. */
const preferred: Language = navigator.languages.some((each) => each.startsWith("uk")) ? "uk" : "en";

export const language = kept<Language>("language", LANGUAGES, preferred);
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
  const address = `bloom.${name}`;
  const before = attempt(() => localStorage.getItem(address));
  const made = signal(values.find((value) => value === before) ?? fallback);
  effect(() => {
    const { value } = made;
    attempt(() => localStorage.setItem(address, value));
  });
  return made;
}

/** Browsers that refuse storage throw. */
function attempt<Made>(use: () => Made): Made | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
