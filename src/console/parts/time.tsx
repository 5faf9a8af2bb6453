/** Times and durations in the reader's language and zone; the exact time, with its zone, is shown on hover. */

import { locale } from "../preferences.ts";
import { numberText, texts } from "../texts.ts";
import { now } from "../ticking-now.ts";

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

/** A duration by its largest unit: "3 min". Short ones have a decimal where `isExact`. */
export function durationText(ms: number, isExact = true): string {
  const [unit, size] = UNITS.find(([, least]) => ms >= least) ?? UNITS[3];
  const value = ms / size;
  const hasDecimal = (unit === "second" && ms < 10_000 && isExact) || (unit === "hour" && value < 10);
  const shown = hasDecimal ? numberText(value, { maximumFractionDigits: 1 }) : numberText(Math.floor(value));
  return texts.value.common.units[unit](shown);
}

/** "3 min ago" or "in 2 h". */
export function relativeText(time: number, from: number): string {
  const { ago, in: ahead, now: just } = texts.value.common;
  const ms = time - from;
  if (Math.abs(ms) < 2_000) return just;
  return ms < 0 ? ago(durationText(-ms, false)) : ahead(durationText(ms, false));
}

const kept = new Map<string, Intl.DateTimeFormat>();

/** The time in the reader's variety of the language. Making a format takes a browser some milliseconds, using it none. */
function dateText(time: number, options: Intl.DateTimeFormatOptions): string {
  const name = locale.value + JSON.stringify(options);
  const format = kept.get(name) ?? new Intl.DateTimeFormat(locale.value, options);
  kept.set(name, format);
  return format.format(time);
}

/** The exact time, with its zone. */
export const exactText = (time: number) => dateText(time, { dateStyle: "medium", timeStyle: "long" });

/** The time of day, and the day where that is another one than today. */
export function clockText(time: number): string {
  const isToday = new Date(time).toDateString() === new Date(now.value).toDateString();
  return dateText(time, isToday ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" });
}

/** Until when, by the clock and from now; null: until somebody ends it. */
export const untilText = (until: number | null) =>
  until === null
    ? texts.value.common.untilResumed
    : texts.value.common.until(clockText(until), relativeText(until, now.value));

const IN_UTC = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

/** A sentence of the service with its times in the reader's zone. */
export const withLocalTimes = (sentence: string) => sentence.replace(IN_UTC, (time) => clockText(Date.parse(time)));

/** A time as how long ago, or in how long. */
export const Ago = ({ at }: { at: number }) => (
  <time dateTime={new Date(at).toISOString()} title={exactText(at)}>
    {relativeText(at, now.value)}
  </time>
);

/** A time as the clock shows it. */
export const At = ({ at }: { at: number }) => (
  <time dateTime={new Date(at).toISOString()} title={exactText(at)}>
    {clockText(at)}
  </time>
);
