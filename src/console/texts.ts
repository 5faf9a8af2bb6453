/** Every text of the console in the reader's language: `texts.value.tasks.title`. Both languages have the same keys, by type. */
import { effect, signal } from "@preact/signals";
import { language } from "./preferences.ts";
import { en } from "./texts/en.ts";
import type { Texts } from "./texts/shape.ts";

export type { Texts };

export const texts = signal<Texts>(en);

/** Resolves when the texts of the chosen language are there. */
export async function loadTexts(): Promise<void> {
  const { value } = language;
  const wanted = value === "uk" ? (await import("./texts/uk.ts")).uk : en;
  if (language.value === value) texts.value = wanted;
}

/** From now on, the texts follow the chosen language. */
export const followLanguage = () => effect(() => void (language.value && loadTexts()));

const kept = new Map<string, Intl.NumberFormat>();

/** Up to here, both languages write whole numbers as JavaScript does. The first `Intl.NumberFormat` takes a browser 10 ms. */
const PLAIN_BELOW = 1_000;

/** A number as the reader's language writes it. */
export function numberText(value: number, options?: Intl.NumberFormatOptions): string {
  if (!options && Number.isInteger(value) && value >= 0 && value < PLAIN_BELOW) return String(value);
  const name = language.value + JSON.stringify(options);
  const format = kept.get(name) ?? new Intl.NumberFormat(language.value, options);
  kept.set(name, format);
  return format.format(value);
}

export const shortNumber = (value: number) =>
  numberText(value, value < 10_000 ? undefined : { notation: "compact", maximumFractionDigits: 1 });
export const percentText = (share: number) => `${numberText(Math.round(share * 100))}%`;
export const dollarsText = (dollars: number) =>
  numberText(dollars, { style: "currency", currency: "USD", maximumFractionDigits: dollars < 1 ? 4 : 2 });

/** A size in the unit that suits it. */
export function bytesText(bytes: number): string {
  const [size, unit] =
    bytes < 1_000 ? [bytes, "byte"] : bytes < 1_000_000 ? [bytes / 1e3, "kilobyte"] : [bytes / 1e6, "megabyte"];
  return numberText(size, {
    style: "unit",
    unit,
    unitDisplay: unit === "byte" ? "long" : "short",
    maximumFractionDigits: 1,
  });
}
