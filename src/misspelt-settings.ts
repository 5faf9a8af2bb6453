import { SETTINGS } from "./setting-schema.ts";

/** What many other programs call a setting. */
const OTHER_NAMES: Record<string, string> = { PORT: "BLOOM_RUNTIME_PORT" };

/** Upper and lower case, and what stands between the words, do not count. */
const lettersOf = (name: string) => name.toUpperCase().replace(/[^A-Z0-9]/g, "");

/**
 * Gives the names that are no setting and nearly one, each with the setting that is likely meant. A name that is not near any is another
 * program's, such as POSTGRES_USER or OTEL_TRACES_SAMPLER, which may read the same file. So a name may be off by one letter in six, and by two.
 */
export function misspeltSettings(names: string[]): [name: string, meant: string][] {
  const unknown = names.filter((name) => !SETTINGS.includes(name));
  return unknown.flatMap((name): [string, string][] => {
    const other = OTHER_NAMES[name];
    // Where both are set, the other is for another program.
    if (other !== undefined) return names.includes(other) ? [] : [[name, other]];
    const letters = lettersOf(name);
    const meant = SETTINGS.map((setting) => ({ setting, known: lettersOf(setting) }))
      .filter(({ known }) => Math.abs(known.length - letters.length) <= 2)
      .map(({ setting, known }) => ({ setting, distance: editDistance(letters, known), length: known.length }))
      .filter(({ distance, length }) => distance <= Math.min(2, length / 6))
      .toSorted((a, b) => a.distance - b.distance)[0];
    return meant ? [[name, meant.setting]] : [];
  });
}

/** How many letters must be added, removed or replaced to make one text the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, n) => n);
  for (const [row, letter] of [...from].entries()) {
    const line = [row + 1];
    for (const [n, other] of [...to].entries()) {
      const replaced = (above[n] ?? 0) + (letter === other ? 0 : 1);
      line.push(Math.min(replaced, (above[n + 1] ?? 0) + 1, (line[n] ?? 0) + 1));
    }
    above = line;
  }
  return above.at(-1) ?? 0;
}
