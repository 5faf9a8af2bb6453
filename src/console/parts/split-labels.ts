/** The labels in a text that has them with commas between them. */
export const labelsIn = (text: string): string[] =>
  text
    .split(",")
    .map((label) => label.trim())
    .filter(Boolean);
