/** Counters, histograms and gauges. */
import { addUp, type Family, type Sample, textOf } from "./prometheus-text.ts";

/**
 * The labels of a meter by name: all values that a label may have, or "named by code" where they are the names of things that the code declares
 * or HTTP knows, such as routes and status codes. A label never has a value that a caller chose, so that the number of series stays small.
 */
export type LabelKinds = Record<string, readonly string[] | "named by code">;
type LabelsOf<Kinds extends LabelKinds> = {
  [Name in keyof Kinds]: Kinds[Name] extends readonly (infer Value extends string)[] ? Value : string;
};
/** Left out where a meter has no labels. */
type GivenLabels<Kinds extends LabelKinds> = keyof Kinds extends never ? [] : [labels: LabelsOf<Kinds>];

export interface Counter<Kinds extends LabelKinds> {
  add(by: number, ...labels: GivenLabels<Kinds>): void;
}
export interface Histogram<Kinds extends LabelKinds> {
  /** Takes a value in the unit that the name ends with. */
  observe(value: number, ...labels: GivenLabels<Kinds>): void;
}

/** One number of a gauge. NaN says that it is not known. */
export interface Reading {
  value: number;
  labels?: Record<string, string>;
}

/** All numbers of a name that is read only when it is asked for. */
export interface Readings {
  name: string;
  help: string;
  /** A counter is a number that the system, and not a meter of ours, counts up. */
  type?: "gauge" | "counter";
  /** The metric is a time, or a state that all processes see: over several processes the largest number counts, and not the sum. */
  isOneFact?: boolean;
  values: Reading[];
}

export interface Registry {
  counter<const Kinds extends LabelKinds = Record<never, never>>(
    name: `${string}_total`,
    help: string,
    kinds?: Kinds,
  ): Counter<Kinds>;
  /** `bounds` are the upper bounds of the buckets, ascending, in the unit that the name ends with. */
  histogram<const Kinds extends LabelKinds = Record<never, never>>(
    name: string,
    help: string,
    bounds: readonly number[],
    kinds?: Kinds,
  ): Histogram<Kinds>;
  /** Has `read` called for each text. A second watcher with the same key takes the place of the first. */
  watch(key: string, read: () => Readings[]): void;
  /** Everything that is known now, and `more`. */
  families(more: Readings[]): Family[];
  /** All metrics as text. */
  text(more: Readings[]): string;
}

export function createRegistry(): Registry {
  const meters: (() => Family)[] = [];
  const watched = new Map<string, () => Readings[]>();
  const families = (more: Readings[]) => [
    ...meters.map((family) => family()),
    ...familiesOf([...[...watched.values()].flatMap((read) => read()), ...more]),
  ];
  return {
    counter(name, help, kinds) {
      const series = seriesOf(kinds, () => ({ value: 0 }));
      meters.push(() => ({
        name,
        help,
        type: "counter",
        samples: series.all().map(({ text, of }) => sample(name, text, of.value)),
      }));
      return {
        add(by, ...[labels]) {
          series.at(labels).value += by;
        },
      };
    },
    histogram(name, help, bounds, kinds) {
      const series = seriesOf(kinds, () => ({ sum: 0, counts: new Array<number>(bounds.length + 1).fill(0) }));
      meters.push(() => ({ name, help, type: "histogram", samples: series.all().flatMap(bucketsOf(name, bounds)) }));
      return {
        observe(value, ...[labels]) {
          const distribution = series.at(labels);
          const found = bounds.findIndex((bound) => value <= bound);
          const bucket = found < 0 ? bounds.length : found;
          distribution.counts[bucket] = (distribution.counts[bucket] ?? 0) + 1;
          distribution.sum += value;
        },
      };
    },
    watch: (key, read) => void watched.set(key, read),
    families,
    text: (more) => textOf(families(more)),
  };
}

interface Series<Of> {
  /** The labels as they stand between the braces. */
  text: string;
  of: Of;
}

/**
 * The series of a meter. Those whose labels are all known exist from the beginning, with 0: Prometheus sees a rise only from a number that it has
 * seen before.
 */
function seriesOf<Of>(kinds: LabelKinds | undefined, make: () => Of) {
  const byKey = new Map<string, Series<Of>>();
  const names = Object.keys(kinds ?? {});
  const at = (labels: Record<string, string> | undefined): Of => {
    let key = "";
    for (const name of names) key += `${labels?.[name]}\n`;
    const known = byKey.get(key);
    if (known) return known.of;
    const made = { text: labelText(labels), of: make() };
    byKey.set(key, made);
    return made.of;
  };
  for (const labels of knownCombinations(kinds ?? {})) at(labels);
  return { at, all: () => [...byKey.values()] };
}

function knownCombinations(kinds: LabelKinds): Record<string, string>[] {
  let combinations: Record<string, string>[] = [{}];
  for (const [name, values] of Object.entries(kinds)) {
    if (values === "named by code") return [];
    combinations = combinations.flatMap((labels) => values.map((value) => ({ ...labels, [name]: value })));
  }
  return combinations;
}

interface Distribution {
  sum: number;
  /** How many values fell into each bucket alone; the last is for those above all bounds. */
  counts: number[];
}

function bucketsOf(name: string, bounds: readonly number[]) {
  return ({ text, of: { sum, counts } }: Series<Distribution>): Sample[] => {
    let below = 0;
    const and = text === "" ? "" : `${text},`;
    const buckets = [...bounds, "+Inf"].map((bound, index) => {
      below += counts[index] ?? 0;
      return sample(`${name}_bucket`, `${and}le="${bound}"`, below);
    });
    return [...buckets, sample(`${name}_sum`, text, sum), sample(`${name}_count`, text, below)];
  };
}

/** The families of the readings, of which several may be of one name. */
export function familiesOf(readings: Readings[]): Family[] {
  return addUp(
    readings.map(({ name, help, type = "gauge", isOneFact, values }) => ({
      name,
      help,
      type,
      ...(isOneFact && { isOneFact }),
      samples: values.map(({ value, labels }) => sample(name, labelText(labels), value)),
    })),
  );
}

const sample = (name: string, labels: string, value: number): Sample => [
  labels === "" ? name : `${name}{${labels}}`,
  value,
];

const labelText = (labels: Record<string, string> = {}) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escapeOf)}"`)
    .join(",");

const escapeOf = (character: string) => (character === "\n" ? "\\n" : `\\${character}`);
