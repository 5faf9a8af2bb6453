/** Stand-ins for the CLIs of LLMs, as programs of their names. The prompt says what becomes of a run; they print what the real ones print then. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as printed from "../cli/printed.ts";

interface Run {
  /** As text, or base64 for bytes that are none. */
  out?: string;
  bytes?: string;
  err?: string;
  code?: number;
  /** It does not end by itself. */
  hangs?: boolean;
}

const { lines } = printed;
const answer = (result: string) => lines({ type: "result", subtype: "success", is_error: false, result });

const claudeCost = printed.claudeSuccess.at(-1)?.total_cost_usd;
const inAnHour = Math.round(Date.now() / 1_000) + 3_600;
const RUNS: Record<string, Record<string, Run>> = {
  claude: {
    success: { out: lines(...printed.claudeSuccess) },
    array: { out: JSON.stringify(printed.claudeSuccess) },
    limit: { out: lines(...printed.claudeLimitedUntil(inAnHour, inAnHour)) },
    "limit in words": { out: answer(`Claude AI usage limit reached|${inAnHour}`) },
    "logged out": { out: lines(printed.claudeLoggedOut), code: 1 },
    "no such model": { out: "There's an issue with the selected model (claude-opsu). It may not exist.\n", code: 1 },
    hang: { out: lines(...printed.claudeSuccess), hangs: true },
    silence: { hangs: true },
    cut: { out: lines(...printed.claudeSuccess).slice(0, -200), err: "Segmentation fault\n", code: 139 },
    bytes: { bytes: Buffer.from(answer("r\u00ffd"), "latin1").toString("base64") },
    colours: { out: answer("\u001b[31mred\u001b[0m") },
  },
  codex: { success: { out: lines(...printed.codexSuccess) }, limit: { out: lines(...printed.codexLimited), code: 1 } },
  gemini: { success: { out: `Loaded.\n${JSON.stringify(printed.geminiSuccess, null, 2)}\n` } },
  opencode: { success: { out: lines(...printed.opencodeSuccess) }, nothing: {} },
};

/**
 * How each prints an answer, as JavaScript. Where Claude goes on with a session, it gives the session a new name, and says what all of its runs
 * have cost: here 0.25 dollars more each time.
 */
const TELLERS: Record<string, string> = {
  claude: `[{ type: "result", subtype: "success", result: text, ...(resumed && { session_id: resumed + ".1", total_cost_usd: totalOf(resumed) }) }]`,
  codex: '[{ type: "item.completed", item: { type: "agent_message", text } }, { type: "turn.completed", usage: {} }]',
  gemini: "[{ response: text }]",
  opencode: '[{ type: "text", part: { text } }, { type: "step_finish", part: { reason: "stop" } }]',
};

/** A CLI that is asked for its `arguments` answers with them, in JSON. */
const program = (name: string) => `#!${process.execPath}
let prompt = "";
process.stdin.setEncoding("utf8").on("data", (piece) => { prompt += piece; }).on("end", () => {
  const runs = ${JSON.stringify(RUNS[name])};
  const resumed = process.argv.find((each) => each.startsWith("--resume="))?.slice("--resume=".length);
  const totalOf = (session) => ${claudeCost} + 0.25 * session.split(".").length;
  const tell = (text) => ${TELLERS[name]}.map((value) => JSON.stringify(value) + "\\n").join("");
  const run = prompt === "arguments" ? { out: tell(JSON.stringify(process.argv.slice(2))) } : runs[prompt];
  const end = () => { process.exitCode = run.code ?? 0; if (run.hangs) setInterval(() => {}, 1000); };
  process.stderr.write(run.err ?? "");
  process.stdout.write(run.bytes ? Buffer.from(run.bytes, "base64") : (run.out ?? ""), end);
});
`;

/** A folder with all of them, to be put before the PATH, and what removes it. */
export async function installClis(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "bloom-clis-"));
  for (const name of Object.keys(RUNS)) {
    const file = join(folder, name);
    await writeFile(file, program(name));
    await chmod(file, 0o755);
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
