import { useEffect, useState } from "preact/hooks";
import { TASK_STATUSES } from "../../parts/task-states.ts";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { isName, NAMES, termOf } from "./filter.ts";

const MOST = 8;
/** The names of workers are asked for when nobody has typed for this time. */
const PAUSE_MS = 200;

/** What may be meant by a term that is being typed: names of filters, and their values as far as the page knows them. */
export function useSuggestions(typed: string, known: { agent: string[]; context: string[] }): string[] {
  const [, name = "", begin = ""] = /^(\w+):"?(.*)$/.exec(typed) ?? [];
  const workers = useWorkers(name === "worker" ? begin : undefined);
  const values: Record<string, readonly string[]> = {
    status: TASK_STATUSES,
    error: Object.keys(texts.value.states.kind),
    agent: known.agent,
    context: known.context,
    worker: workers,
    after: [dayBefore(0), dayBefore(1), dayBefore(7)],
    before: [dayBefore(0), dayBefore(1), dayBefore(7)],
  };
  if (isName(name)) {
    const found = (values[name] ?? []).filter((value) => value.toLowerCase().includes(begin.toLowerCase()));
    return found.slice(0, MOST).map((value) => termOf(name, value));
  }
  const names = Object.keys(NAMES).map((each) => `${each}:`);
  if (typed === "") return names;
  const likely = TASK_STATUSES.map((each) => `status:${each}`);
  return [...names, ...likely].filter((each) => each.includes(typed.toLowerCase())).slice(0, MOST);
}

function useWorkers(begin: string | undefined): string[] {
  const [names, setNames] = useState<string[]>([]);
  useEffect(() => {
    if (begin === undefined) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      client.listWorkers({ q: begin, limit: MOST }, { signal: stop.signal }).then(
        (workers) => setNames(workers.map(({ id }) => id)),
        // Without suggestions, the name can still be typed.
        () => setNames([]),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [begin]);
  return names;
}

/** A day in the reader's zone, as it is typed. */
function dayBefore(days: number): string {
  const day = new Date(Date.now() - days * 86_400_000);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
