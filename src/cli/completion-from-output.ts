import type { CompleteTask } from "../contract/complete-task.ts";
import type { Metrics, UsageWindows } from "../db/json-types.ts";
import { storable } from "../storable-text.ts";
import { readCli } from "./read-cli.ts";
import type { CliName, CliReading, CliUsage, CliWindow } from "./reader-types.ts";

const nameIn = (text: string, longest: number) => storable(text).slice(0, longest).toWellFormed();
const LONGEST_NAME = 256;
const LONGEST_WINDOW_NAME = 64;
const MOST_WINDOWS = 16;
const LONGEST_TOOL = 128;
const MOST_TOOLS = 16;
const LONGEST_MESSAGE = 1_000_000;
const LATEST_MS = 8.64e15;

/**
 * The completion that a CLI's output amounts to: its result decides, and what the worker said of the end of the command, as `status`, `exit_code`,
 * `error_message` and `error_kind`, counts where the output does not tell. The text of the result becomes the output; of a failure, the partial one.
 */
export async function completionFrom(
  request: CompleteTask,
  cli: CliName,
  printed: Iterable<string> | AsyncIterable<string>,
): Promise<CompleteTask> {
  const exit = { code: request.exit_code ?? null, stderr: request.error_message ?? "", kind: request.error_kind };
  const reading = await readCli(cli, printed, exit);
  const { text, failure } = reading;
  const common = {
    ...request,
    output_id: undefined,
    metrics: metricsOf(request.metrics, reading.usage),
    windows: windowsOf(reading) ?? request.windows,
  };
  const output = text === null ? null : storable(text);
  if (!failure)
    return { ...common, status: "success", output, error_message: null, error_kind: null, partial_output: undefined };
  // The text of a failed run may be its error message, which is not a partial output.
  const partial = output === null || output === storable(failure.message) ? undefined : output;
  return {
    ...common,
    status: "error",
    output: null,
    partial_output: partial,
    error_message: storable(failure.message).slice(0, LONGEST_MESSAGE).toWellFormed(),
    error_kind: failure.kind ?? null,
    resets_at: epochIn(failure.resetsAtMs) ?? request.resets_at,
  };
}

/** What the CLI counted, beside what the worker measured. */
function metricsOf(measured: Metrics, usage: CliUsage): Metrics {
  const counted: Omit<Metrics, "duration_ms"> = {};
  for (const field of ["model", "provider", "session_id"] as const) {
    const name = usage[field];
    if (name !== undefined) counted[field] = nameIn(name, LONGEST_NAME);
  }
  if (usage.denied_tools)
    counted.denied_tools = usage.denied_tools.slice(0, MOST_TOOLS).map((tool) => nameIn(tool, LONGEST_TOOL));
  for (const field of COUNTS) {
    const count = usage[field];
    if (count !== undefined) counted[field] = Math.min(Math.round(count), MOST[field]);
  }
  if (usage.cost_usd !== undefined) counted.cost_usd = Math.min(usage.cost_usd, 1_000_000);
  return { ...measured, ...counted };
}

/** The largest values that contract/complete-task.ts allows for these fields. */
const MOST = {
  input_tokens: Number.MAX_SAFE_INTEGER,
  output_tokens: Number.MAX_SAFE_INTEGER,
  cache_read_tokens: Number.MAX_SAFE_INTEGER,
  cache_write_tokens: Number.MAX_SAFE_INTEGER,
  num_turns: 1_000_000,
};
const COUNTS = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "num_turns"] as const;

function windowsOf({ windows }: CliReading): UsageWindows | undefined {
  if (windows.length === 0) return undefined;
  return Object.fromEntries(windows.slice(0, MOST_WINDOWS).map(windowOf));
}

function windowOf({ type, status, used, resetsAtMs }: CliWindow): [string, UsageWindows[string]] {
  return [
    nameIn(type, LONGEST_WINDOW_NAME),
    { used: used ?? (status === "rejected" ? 1 : null), resets_at: epochIn(resetsAtMs) ?? null },
  ];
}

const epochIn = (ms: number | null | undefined): number | undefined =>
  ms !== null && ms !== undefined && ms <= LATEST_MS ? Math.round(ms) : undefined;
