/** The filter of the list of tasks: in the address by the names of the call, in the box by shorter ones. */
import type { ListTasksArgs } from "../../../client/index.ts";
import { addressOf, go } from "../../router.ts";

/** The names in the box, and those of the call. */
export const NAMES = {
  status: "status",
  agent: "agent_slug",
  context: "context_id",
  worker: "worker_id",
  error: "error_kind",
  after: "created_after",
  before: "created_before",
} as const;
export type Name = keyof typeof NAMES;
export const isName = (text: string): text is Name => Object.hasOwn(NAMES, text);

export type Filter = Partial<Record<(typeof NAMES)[Name] | "q", string>>;

const TIMES: readonly string[] = ["created_after", "created_before"];

/** The filter in an address. What the call does not have is left out. */
export function filterIn(query: URLSearchParams): Filter {
  const known = [...Object.values(NAMES), "q"] as const;
  return Object.fromEntries(known.flatMap((name) => (query.get(name) ? [[name, query.get(name)]] : [])));
}

/** Shows the tasks that match this filter. */
export const show = (filter: Filter) => go(addressOf("tasks", undefined, filter), { replace: true });

export const isEmpty = (filter: Filter) => Object.keys(filter).length === 0;

/** The filter as a call takes it: days as epoch milliseconds, in the reader's zone. */
export function argsOf(filter: Filter): ListTasksArgs {
  return Object.fromEntries(
    Object.entries(filter).map(([name, value]) => [name, TIMES.includes(name) ? epochMsOf(value) : value]),
  );
}

/** "2026-01-31" or "2026-01-31T10:00"; or epoch milliseconds. What is none of these is left to the service, which says so. */
function epochMsOf(text: string): string {
  if (/^\d{10,}$/.test(text)) return text;
  const time = new Date(text.length === 10 ? `${text}T00:00` : text).getTime();
  return Number.isNaN(time) ? text : String(time);
}

/** A term: a word, a text in quotes, or the name of a filter with either. */
const TERM = /(\w+):\s*(?:"([^"]*)"?|(\S*))|"([^"]*)"?|\S+/g;

/**
 * Adds the terms of what was typed: `agent:writer`, `agent:"the writer"`, `status:dead`, and a text to search for. The same name again replaces its
 * value; statuses add up. Where a term has a name that is no filter, gives that name, and the filter as it was.
 */
export function withTyped(filter: Filter, typed: string): { filter: Filter; unknown?: string } {
  const changed = { ...filter };
  const texts: string[] = [];
  for (const [term, word, inQuotes, plain, text = term] of typed.matchAll(TERM)) {
    const value = inQuotes ?? plain;
    if (word === undefined || value === undefined) texts.push(text);
    else if (!isName(word)) return { filter, unknown: word };
    else if (value !== "") {
      const name = NAMES[word];
      const before = changed[name];
      const isAdded = (name === "status" || name === "error_kind") && before !== undefined;
      changed[name] = isAdded ? [...new Set([...before.split(","), value])].join(",") : value;
    }
  }
  if (texts.length > 0) changed.q = texts.join(" ");
  return { filter: changed };
}

/** The last term of what was typed, which is still being typed, and what stands before it. */
export function lastTermOf(typed: string): [before: string, term: string] {
  const [term = ""] = /(?:\w+:)?(?:"[^"]*|\S*)$/.exec(typed) ?? [];
  return [typed.slice(0, typed.length - term.length), term];
}

/** A value as a term has it. */
export const termOf = (name: string, value: string) => `${name}:${/\s/.test(value) ? `"${value}"` : value}`;

export interface Chip {
  name: Name | "q";
  value: string;
  /** The filter without this chip. */
  rest: Filter;
}

/** A chip for every single value. */
export function chipsOf(filter: Filter): Chip[] {
  const named = (Object.keys(NAMES) as Name[]).flatMap((name) => {
    const values = filter[NAMES[name]]?.split(",") ?? [];
    return values.map((value) => ({
      name,
      value,
      rest: without(filter, NAMES[name], values.filter((each) => each !== value).join(",")),
    }));
  });
  return filter.q === undefined ? named : [...named, { name: "q", value: filter.q, rest: without(filter, "q", "") }];
}

function without(filter: Filter, name: keyof Filter, left: string): Filter {
  const { [name]: _, ...rest } = filter;
  return left === "" ? rest : { ...rest, [name]: left };
}
