/** What a CLI prints for programs, a JSON object a line, as text for people. */

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});
const textIn = (value: unknown) => (typeof value === "string" ? value : undefined);

/** Events of the CLIs that say nothing about the work: how a run begins and ends, what a tool gave back, and what was used. */
const PASSED_OVER = new Set([
  "stream_event",
  "rate_limit_event",
  "thread.started",
  "turn.started",
  "turn.completed",
  "item.started",
  "item.updated",
  "step_start",
  "step_finish",
]);
/** Claude has such events too, with a session. Without one, an object of these types is another program's. */
const OF_A_SESSION = new Set(["system", "user", "result"]);

/**
 * The texts of the model and the tools that it uses, for what `claude`, `codex` and `opencode` print (docs/clis.md). Lines that are no such
 * events stay as they are. The last line is left out while it is only the beginning of an object.
 */
export function textOfEvents(printed: string): string {
  const lines = printed.split("\n");
  return lines.flatMap((line, n) => shownOf(line, n === lines.length - 1)).join("\n");
}

function shownOf(line: string, isLast: boolean): string[] {
  if (!line.startsWith("{")) return [line];
  let event: Fields;
  try {
    event = fieldsOf(JSON.parse(line));
  } catch {
    return isLast ? [] : [line];
  }
  const { message, item, part, error, session_id } = event;
  const type = textIn(event.type) ?? "";
  if (type === "assistant") return blocksOf(fieldsOf(message).content);
  if (type === "item.completed") return itemOf(fieldsOf(item));
  if (type === "text") return known(fieldsOf(part).text);
  if (type === "tool_use") return [tool(fieldsOf(part).tool, fieldsOf(fieldsOf(part).state).input)];
  if (type === "turn.failed" || type === "error") return [textIn(message) ?? wordsOfFault(fieldsOf(error)) ?? line];
  const isPassedOver = PASSED_OVER.has(type) || (OF_A_SESSION.has(type) && textIn(session_id) !== undefined);
  return isPassedOver ? [] : [line];
}

const known = (text: unknown) => (typeof text === "string" ? [text] : []);
/** The fault's own words, which opencode has one level deeper. */
const wordsOfFault = ({ message, data, name }: Fields) =>
  textIn(message) ?? textIn(fieldsOf(data).message) ?? textIn(name);

function blocksOf(content: unknown): string[] {
  const blocks = Array.isArray(content) ? content.map(fieldsOf) : [];
  return blocks.flatMap(({ type, text, name, input }) => (type === "tool_use" ? [tool(name, input)] : known(text)));
}

const itemOf = ({ type, text, command }: Fields) => (type === "command_execution" ? [tool("$", command)] : known(text));

/** A tool's name, and the first text of its input: the command, the file or the pattern. */
function tool(name: unknown, input: unknown): string {
  const about = textIn(input) ?? Object.values(fieldsOf(input)).find((value) => typeof value === "string") ?? "";
  return `▸ ${textIn(name) ?? ""} ${about}`.trimEnd();
}
