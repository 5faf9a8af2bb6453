import { spawnSync } from "node:child_process";
import type { Command } from "./cli-command.ts";

/** A command that begins with a plain name. Shell syntax before the name cannot be judged without running it. */
const FIRST_WORD = /^\s*([A-Za-z0-9_./+-]+)(\s|$)/;

/** Why this machine's shell cannot run the command, as a sentence; undefined when it seems that it can. */
export function commandFault({ shell: command, cli, folder }: Command): string | undefined {
  const word = FIRST_WORD.exec(command)?.[1];
  const option = cli ? "--cli" : "--exec";
  if (word !== undefined && !isFound(word, folder))
    return `The command "${word}" of ${option} is not found on this machine, or may not be run. Install it, or ${cli ? "add its folder to PATH" : "give its whole path"}.`;
  const parsed = spawnSync("/bin/sh", ["-n", "-c", command], { encoding: "utf8" });
  if (parsed.status === 0 || parsed.error) return undefined;
  return `The command of ${option} is not valid: ${parsed.stderr.trim()}`;
}

/** A command that is named by a path is looked for from the folder in which it runs. */
function isFound(word: string, cwd: string): boolean {
  return spawnSync("/bin/sh", ["-c", 'command -v "$1"', "sh", word], { stdio: "ignore", cwd }).status === 0;
}
