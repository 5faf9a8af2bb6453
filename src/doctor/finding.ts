/** A line of the doctor: something that is right, or what is wrong with it. */
export interface Finding {
  /** `note`: worth knowing, and right in some installations. */
  level: "ok" | "note" | "wrong";
  what: string;
  /** What to do about it. */
  mend?: string;
}

export const ok = (what: string): Finding => ({ level: "ok", what });
export const note = (what: string, mend?: string): Finding => ({ level: "note", what, ...(mend && { mend }) });
export const wrong = (what: string, mend: string): Finding => ({ level: "wrong", what, mend });

const WORDS = { ok: "ok   ", note: "note ", wrong: "WRONG" };

/** The finding as a line, with what to do about it on a second. */
export const lineOf = ({ level, what, mend }: Finding): string =>
  `${WORDS[level]} ${what}\n${mend === undefined ? "" : `      ${mend}\n`}`;

/** A time as people say it: "42 s", "17 min", "3 h", "2 d". */
export function timeOf(ms: number): string {
  const units: [string, number][] = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
  ];
  const [unit, length] = units.find(([, each]) => ms >= 2 * each) ?? ["s", 1_000];
  return `${Math.round(ms / length)} ${unit}`;
}
