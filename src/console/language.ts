/** The reader's language. */
export const LANGUAGES = ["en", "uk"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A browser that is set to Ukrainian gets Ukrainian, every other one English. */
export const preferredLanguage = (): Language =>
  navigator.languages.some((each) => each.startsWith("uk")) ? "uk" : "en";
