/** What there is of a task, without its prompt and its outputs. */
import { useRef } from "preact/hooks";
import { connection, resync } from "../../live-events.ts";
import { stageOf } from "../../parts/task-states.ts";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { type LiveData, useLiveData } from "../../use-live-data.ts";

/** Progress and heartbeats come without an event. */
const EVERY_MS = 10_000;

/** What changes without an event while the task has not ended. */
async function readState(id: string, signal: AbortSignal) {
  const [found, explanation] = await Promise.all([
    client.listTasks({ q: id, fields: "slim" }, { signal }),
    client.explainTask({ id }, { signal }),
  ]);
  const task = found.find((each) => each.id === id);
  if (!task) throw new Error(texts.value.task.gone);
  return { task, explanation };
}

/** What changes only with an event. */
async function readRecords(id: string, signal: AbortSignal) {
  const [leases, results, artifacts, history] = await Promise.all([
    client.listLeases({ task_id: id }, { signal }),
    client.listResults({ id, fields: "slim" }, { signal }),
    client.listArtifacts({ task_id: id, fields: "slim" }, { signal }),
    client.listHistory({ id }, { signal }),
  ]);
  return { leases, results, artifacts, history };
}

type TaskState = Awaited<ReturnType<typeof readState>>;
type TaskRecords = Awaited<ReturnType<typeof readRecords>>;

/** Reads the task, and later what may have changed: all of it after an event, otherwise its state alone, and nothing once it has ended. */
export function useTask(id: string): LiveData<TaskState & TaskRecords> {
  const events = useRef(0);
  const held = useRef<{ of: string; data: TaskState & TaskRecords } | undefined>(undefined);
  const load = async (signal: AbortSignal) => {
    const of = `${id} ${events.current} ${resync.value}`;
    // Without the stream, nothing says what has changed.
    const known = held.current?.of === of && connection.value.state === "open" ? held.current.data : undefined;
    if (known && stageOf(known.task.status) === "ended") return known;
    const [state, records] = await Promise.all([readState(id, signal), known ?? readRecords(id, signal)]);
    const { leases, results, artifacts, history } = records;
    const data = { ...state, leases, results, artifacts, history };
    held.current = { of, data };
    return data;
  };
  const wants = (event: { task_id: string | null }) => {
    if (event.task_id !== id) return false;
    events.current++;
    return true;
  };
  return useLiveData(load, { of: id, wants, pauseMs: 1_500, everyMs: EVERY_MS });
}
