/** The reader's language, and what else this browser keeps of its choices. */
export const LANGUAGES = ["en", "uk"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A browser that is set to Ukrainian gets Ukrainian, every other one English. */
export const preferredLanguage = (): Language =>
  navigator.languages.some((each) => each.startsWith("uk")) ? "uk" : "en";

/** A choice that this browser keeps; null where there is none, or where the browser keeps nothing. */
export function keptChoice(name: string): string | null {
  try {
    return localStorage.getItem(`bloom.${name}`);
  } catch {
    return null;
  }
}

export function keepChoice(name: string, value: string): void {
  try {
    localStorage.setItem(`bloom.${name}`, value);
  } catch {
    // The choice lasts as long as the page.
  }
}
