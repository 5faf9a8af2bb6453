/** The numbers of a text for Prometheus by their series, as `name{label="value"}`. Throws where the text breaks the format. */
export function parseMetrics(text: string): Map<string, number> {
  const series = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    const [, comment, about] = /^# (HELP|TYPE) (\S+) ./.exec(line) ?? [];
    if (comment === "TYPE" && about !== undefined) {
      if (typed.has(about)) throw new Error(`${about} is there twice.`);
      typed.add(about);
    }
    if (comment !== undefined) continue;
    const [, id = "", name = "", value = ""] = /^(([a-z_]+)(?:\{[^\n]*\})?) (\S+)$/.exec(line) ?? [];
    if (!typed.has(name) && !typed.has(familyOf(name))) throw new Error(`This line is of no metric: ${line}`);
    if (series.has(id)) throw new Error(`${id} is there twice.`);
    series.set(id, value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value));
  }
  return series;
}

/** The name of a metric without what a histogram's series have at their end. */
export const familyOf = (name: string) => name.replace(/_(bucket|sum|count)$/, "");

/** The names of all metrics in the text. */
export const namesIn = (text: string) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name);
