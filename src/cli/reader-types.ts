/** What the readers of CLIs take and give. */
import type { Metrics } from "../db/json-types.ts";
import type { ErrorKind } from "../db/kinds.ts";

/** The programs whose output can be read. Any other command's output is taken as it is. */
export const CLI_NAMES = ["claude", "codex", "gemini", "opencode"] as const;
export type CliName = (typeof CLI_NAMES)[number];

/** What a run of a CLI used; a field is missing where the CLI does not say. Dollars are the CLI's own estimate. */
export interface CliUsage extends Omit<Metrics, "duration_ms" | "tokens_used"> {
  /** The cost in dollars; for a resumed session, of all its runs and not of the last one alone. */
  cost_usd?: number;
}

/** What a CLI says of a window of its account's allowance, such as the five-hour one. */
export interface CliWindow {
  type: string;
  status: string;
  /** The share that is used, from 0 to 1; null where the CLI does not say. */
  used: number | null;
  /** Epoch milliseconds. */
  resetsAtMs: number | null;
}

/** A failed run: its kind, undefined where nothing tells, and what was said. */
export interface CliFailure {
  kind: ErrorKind | undefined;
  message: string;
  /** The output does not say why it failed: it just ends. */
  isUnexplained?: boolean;
  /** When the account's limit ends, in epoch milliseconds. */
  resetsAtMs?: number | undefined;
}

/** What a CLI's output says of its run. */
export interface CliReading {
  /** The answer; of a failed run, what there was of it. Null: there is none. */
  text: string | null;
  failure: CliFailure | undefined;
  usage: CliUsage;
  windows: CliWindow[];
}

/** Takes what a CLI printed, value by value, and says at its end what came of the run. */
export interface CliReader {
  take(value: Record<string, unknown>): void;
  end(): CliReading;
}
