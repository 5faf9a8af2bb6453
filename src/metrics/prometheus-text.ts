/** The numbers of a name: their text for Prometheus (exposition format 0.0.4), and what those of several processes are together. */

/** A sample: a number with the name of its series, which is what stands before the number in the text. */
export type Sample = [series: string, value: number];

/** All numbers of a name, as plain data that travels between processes. */
export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  /** Every process tells the same fact, so that of several numbers the largest is told, and not their sum. */
  isOneFact?: boolean;
  samples: Sample[];
}

/** The families with each name once: what several tell of a series is added up or, where it is one fact, the largest. */
export function addUp(families: Family[]): Family[] {
  const byName = new Map<string, { family: Family; values: Map<string, number> }>();
  for (const family of families) {
    const { values } = byName.get(family.name) ?? { values: new Map<string, number>() };
    byName.set(family.name, { family, values });
    for (const [series, value] of family.samples) {
      const before = values.get(series);
      if (before === undefined) values.set(series, value);
      else values.set(series, family.isOneFact ? Math.max(before, value) : before + value);
    }
  }
  return [...byName.values()].map(({ family, values }) => ({ ...family, samples: [...values] }));
}

/** The families as Prometheus reads them. */
export function textOf(families: Family[]): string {
  return families.map(familyText).join("");
}

const familyText = ({ name, help, type, samples }: Family) =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(sampleText).join("")}`;

const sampleText = ([series, value]: Sample) =>
  `${series} ${Number.isFinite(value) || Number.isNaN(value) ? value : value > 0 ? "+Inf" : "-Inf"}\n`;
