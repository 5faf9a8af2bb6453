/** The rows on view. They change in place; new ones wait until they are asked for, so that nothing moves under the reader. */
import { useEffect, useState } from "preact/hooks";
import type { Event, Next, Page, SlimTask } from "../../../client/index.ts";
import { listen } from "../../live-events.ts";
import type { FaultProps } from "../../parts/fault.tsx";
import { isTaskStatus, stageOf } from "../../parts/task-states.ts";
import { client } from "../../session.ts";
import { useLiveData } from "../../use-live-data.ts";
import { argsOf, type Filter } from "./filter.ts";

const PAGE = 50;
const PAUSE_MS = 4_000;
/** Progress, and that a task has begun to run, come without an event. */
const HELD_EVERY_MS = 15_000;

/** The events that bring a task back into the queue. Any other that changes its status is `task.<status>`. */
const REQUEUED = ["task.requeued", "task.released"];

/** The status that an event brings; undefined where it brings none. */
function statusAfter(type: string): SlimTask["status"] | undefined {
  const name = REQUEUED.includes(type) ? "queued" : type.replace(/^task\./, "");
  return isTaskStatus(name) ? name : undefined;
}

export interface Rows {
  rows: SlimTask[] | undefined;
  /** How many new ones wait. */
  waiting: number;
  trouble: FaultProps | undefined;
  showNew(): void;
  /** Undefined where all rows are on view. */
  more: (() => Promise<void>) | undefined;
  reload(): void;
}

interface Shown {
  of: string;
  rows: SlimTask[];
  fresh: SlimTask[];
  next: Next | undefined;
}

export function useRows(filter: Filter): Rows {
  const of = JSON.stringify(filter);
  const [shown, setShown] = useState<Shown | undefined>();
  const current = shown?.of === of ? shown : undefined;
  const isHeld = current?.rows.some(({ status }) => stageOf(status) === "held");
  const list = (next: Next, signal?: AbortSignal) =>
    client.listTasks({ ...argsOf(filter), limit: PAGE, ...next, fields: "slim" }, { signal });
  const { data, trouble, reload } = useLiveData((signal) => list({}, signal), {
    of,
    wants: ({ task_id }) => task_id !== null,
    pauseMs: PAUSE_MS,
    everyMs: isHeld ? HELD_EVERY_MS : undefined,
  });

  useEffect(() => {
    if (data) setShown((before) => merged(before?.of === of ? before : undefined, data, of));
  }, [data, of]);
  useEffect(
    () => listen((event) => setShown((before) => before && { ...before, rows: before.rows.map(after(event)) })),
    [],
  );

  const more = async () => {
    if (!current?.next) return;
    const page = await list(current.next);
    setShown((before) => before && { ...before, rows: joined(before.rows, page), next: page.next });
  };
  return {
    rows: current?.rows,
    waiting: current?.fresh.length ?? 0,
    trouble,
    showNew: () => setShown((before) => before && { ...before, rows: joined(before.fresh, before.rows), fresh: [] }),
    more: current?.next && more,
    reload,
  };
}

/** The rows on view with what was just read of them. */
function merged(before: Shown | undefined, page: Page<SlimTask>, of: string): Shown {
  if (!before || before.rows.length === 0) return { of, rows: page, fresh: [], next: page.next };
  const read = new Map(page.map((task) => [task.id, task]));
  const shown = new Set(before.rows.map(({ id }) => id));
  const [first] = before.rows;
  const isNew = ({ id, created_at }: SlimTask) =>
    !shown.has(id) && first !== undefined && created_at >= first.created_at;
  return { ...before, rows: before.rows.map((task) => read.get(task.id) ?? task), fresh: page.filter(isNew) };
}

const joined = (first: SlimTask[], second: SlimTask[]) => {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...second.filter(({ id }) => !known.has(id))];
};

const after =
  ({ type, task_id, timestamp }: Event) =>
  (task: SlimTask): SlimTask => {
    if (task.id !== task_id) return task;
    const status = statusAfter(type) ?? task.status;
    const cancel_requested = type === "task.cancel_requested" || task.cancel_requested;
    return { ...task, status, cancel_requested, updated_at: timestamp };
  };
