/** How the CLIs of LLMs are called, and how the end of their output shows that it has the result. `worker.sh` has the same. */

/** The CLIs whose output the runtime reads. */
export type CliName = keyof typeof COMMANDS;

/** The command that does a worker's work. */
export interface Command {
  /** For /bin/sh. */
  shell: string;
  /** The CLI that it calls; undefined for any other command, whose output is the result as it is. */
  cli: CliName | undefined;
  /** How long a CLI may take to end after its result. */
  graceMs: number;
  /** The folder in which it runs. */
  folder: string;
}

/** An option with the variable's value, or nothing where the variable is empty. Written so, no value can be taken for another option. */
const option = (flag: string, variable: string) => `\${${variable}:+${flag}="$${variable}"}`;
const MODEL = option("--model", "BLOOM_MODEL");

/** The prompt comes on standard input; what a task decides comes in variables (task-inputs.ts). */
const COMMANDS = {
  claude: [
    "claude -p --output-format stream-json --verbose",
    MODEL,
    option("--max-turns", "BLOOM_MAX_TURNS"),
    option("--max-budget-usd", "BLOOM_MAX_USD"),
    option("--resume", "BLOOM_RESUME_SESSION"),
    option("--json-schema", "BLOOM_OUTPUT_SCHEMA"),
  ].join(" "),
  codex: `codex exec --json --skip-git-repo-check ${MODEL} ${option("--output-schema", "BLOOM_OUTPUT_SCHEMA_FILE")}`,
  gemini: `gemini --output-format json ${MODEL} ${option("--resume", "BLOOM_RESUME_SESSION")}`,
  opencode: `opencode run --format json ${MODEL} ${option("--session", "BLOOM_RESUME_SESSION")}`,
};

/** What stands behind all options, those of --cli-args too: codex goes on with a session by a subcommand, which takes fewer of them. */
const SUBCOMMANDS: Partial<Record<CliName, string>> = {
  codex: `\${BLOOM_RESUME_SESSION:+resume "$BLOOM_RESUME_SESSION" -}`,
};

export const COMMAND_NAMES = Object.keys(COMMANDS);
const isCliName = (name: string): name is CliName => Object.hasOwn(COMMANDS, name);

/** How the CLI is called, with further arguments as a shell reads them; undefined when there is no such CLI. */
export function cliShell(name: string, args: string): Pick<Command, "shell" | "cli"> | undefined {
  if (!isCliName(name)) return undefined;
  return { shell: [COMMANDS[name], args, SUBCOMMANDS[name]].filter(Boolean).join(" "), cli: name };
}

/** How the last line of an output begins when it is the CLI's result. */
const RESULTS: Record<CliName, RegExp> = {
  claude: /^(\[.*)?\{"type": ?"result"/,
  codex: /^\{"type": ?"turn\.(completed|failed)"/,
  gemini: /^(\{.*)?\}\s*$/,
  opencode: /^\{"type": ?"step_finish".*"reason": ?"stop"/,
};

/** True when the CLI has said its result, as far as the end of its output shows. */
export function endsWithResult(cli: CliName, end: string): boolean {
  const last = end.trimEnd().split("\n").at(-1) ?? "";
  return RESULTS[cli].test(last) && (cli !== "gemini" || /"(response|error)" ?:/.test(end));
}
