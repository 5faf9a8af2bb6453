/** A line of the log for somebody at a terminal. */

const LEVELS: Record<number, string> = { 10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL" };
/** What a terminal would take for a command, and line breaks. */
const CONTROL = /\p{Cc}/gu;

/**
 * Makes "22:07:15.123 INFO  message name=value" of one line of JSON, in local time; an error's stack stands below it, indented. No control
 * character of what is logged reaches the terminal.
 */
export function readableLine(json: string): string {
  const { level, time, msg, err, ...fields }: Record<string, unknown> = JSON.parse(json);
  const at = new Date(Number(time));
  const clock = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const values = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
  const first = [clock, (LEVELS[Number(level)] ?? String(level)).padEnd(5), escaped(String(msg ?? "")), ...values];
  return `${first.join(" ").trimEnd()}\n${stackIn(err)}`;
}

/** A plain word as it is; anything else in JSON, so that it is seen where it ends. */
const shown = (value: unknown) =>
  typeof value === "string" && /^[\w./:@-]+$/.test(value) ? value : escaped(JSON.stringify(value) ?? "");

function stackIn(err: unknown): string {
  if (typeof err !== "object" || err === null || !("stack" in err)) return "";
  const lines = String(err.stack).split("\n");
  return lines.map((line) => `    ${escaped(line)}\n`).join("");
}

const escaped = (text: string) =>
  text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
