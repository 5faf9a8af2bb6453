/** Turns a line of the log into a line that a person at a terminal can read. */

const LEVELS: Record<number, string> = { 10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL" };
/** Characters that a terminal would take for a command, and line breaks. */
const CONTROL = /\p{Cc}/gu;

/**
 * Turns a line of JSON into "22:07:15.123 INFO  message name=value", in local time. An error's stack follows below, indented. No control character
 * of the logged values reaches the terminal.
 */
export function readableLine(json: string): string {
  const { level, time, msg, err, ...fields }: Record<string, unknown> = JSON.parse(json);
  const at = new Date(Number(time));
  const clock = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const values = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
  const first = [clock, (LEVELS[Number(level)] ?? String(level)).padEnd(5), escaped(String(msg ?? "")), ...values];
  return `${first.join(" ").trimEnd()}\n${stackIn(err)}`;
}

/** A plain word stays as it is; any other value is written as JSON, so that its end can be seen. */
const shown = (value: unknown) =>
  typeof value === "string" && /^[\w./:@-]+$/.test(value) ? value : escaped(JSON.stringify(value) ?? "");

function stackIn(err: unknown): string {
  if (typeof err !== "object" || err === null || !("stack" in err)) return "";
  const lines = String(err.stack).split("\n");
  return lines.map((line) => `    ${escaped(line)}\n`).join("");
}

const escaped = (text: string) =>
  text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
