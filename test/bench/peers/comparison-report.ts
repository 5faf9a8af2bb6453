import type { Timed } from "../processor-time.ts";

/** What both sides did at one number of clients, round by round. */
export interface Rounds {
  clients: number;
  ours: Timed[];
  theirs: Timed[];
}

export const median = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return (at(Math.floor((sorted.length - 1) / 2)) + at(Math.ceil((sorted.length - 1) / 2))) / 2;
};

const of = (rounds: Timed[], what: "perSecond" | "serverMs" | "postgresMs") =>
  median(rounds.map((round) => round[what]));
const ms = (value: number) => (Number.isNaN(value) ? "unknown" : value.toFixed(2));

/** What of a task costs work on one side and not on the other. */
const DOES = [
  "Transitions: both three: queued, leased, completed; created, active, completed. Each is a call; this service puts calls of one moment into one statement.",
  "Audit: this service writes an entry with each transition; pg-boss none.",
  "Artifact: this service stores the output as an artifact that nobody can change, with a result; pg-boss in the job's own row.",
  "Capacity: this service counts the worker's leases under a lock at each claim, and hands out what the worker can take; pg-boss knows no workers.",
  "Fence: a completion here needs the lease of this attempt; pg-boss's proxy takes the id of a job that is active, whoever has it by now.",
  "Access: this service checks a key and writes a line for each call; the proxy checks no key, makes its line and drops it, as it comes.",
];

/** The comparison as two tables in Markdown, with what each side does. `durability` is what PostgreSQL is set to. */
export function tableOf(all: Rounds[], titles: string[], durability: string): string {
  const speeds = all.map(({ clients, ours, theirs }) => {
    const ratios = ours.map(({ perSecond }, n) => perSecond / (theirs[n]?.perSecond ?? Number.NaN));
    const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    const perSecond = [ours, theirs].map((side) => of(side, "perSecond").toFixed(0));
    return `| ${clients} | ${perSecond.join(" | ")} | ${median(ratios).toFixed(2)} | ${range} |`;
  });
  const costs = all.map(({ clients, ours, theirs }) => {
    const cells = [ours, theirs].flatMap((side) => [of(side, "serverMs"), of(side, "postgresMs")]);
    return `| ${clients} | ${cells.map(ms).join(" | ")} |`;
  });
  return `${[
    ...titles,
    "",
    "| Clients | This service, tasks a second | pg-boss, tasks a second | Ratio | Ratio in the rounds |",
    "|---|---|---|---|---|",
    ...speeds,
    "",
    "| Clients | Processor ms a task: this service | its PostgreSQL | pg-boss's proxy | its PostgreSQL |",
    "|---|---|---|---|---|",
    ...costs,
    "",
    "What each side does for a task:",
    ...DOES.map((line) => `- ${line}`),
    `- Durability: both answer a call when PostgreSQL has committed it (${durability}).`,
  ].join("\n")}\n`;
}
