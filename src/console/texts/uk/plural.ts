const rules = new Intl.PluralRules("uk");

/** The form of a noun after a number: 1, 21 (`one`); 2 to 4, 22 (`few`); 5, 11, 100 (`many`). */
export function plural(count: number, one: string, few: string, many: string): string {
  const form = rules.select(count);
  return form === "one" ? one : form === "few" ? few : many;
}
