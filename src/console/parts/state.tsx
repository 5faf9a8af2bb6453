/** A state as a shape, a word and a colour: each says it alone. */
import type { Worker } from "../../client/index.ts";
import { texts } from "../texts.ts";
import { isTaskStatus, type Shape, TASK_FACTS, type TaskStatus } from "./task-states.ts";

/** States of what is neither a task nor a worker. */
type OtherState = "free" | "paced" | "limited" | "connected" | "disconnected";
export type WorkerState = Worker["status"] | "drained" | "resting";

const OTHER_SHAPES: Record<WorkerState | OtherState, Shape> = {
  online: ["good", "M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z"],
  offline: ["off", "M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z"],
  syncing: ["busy", "M3 8a5 5 0 0 1 9-3M13 8a5 5 0 0 1-9 3M12 2v3H9M4 14v-3h3"],
  error: ["bad", "M8 2l6.5 12h-13zM8 6.5v3.5M8 12h.01"],
  unknown: ["off", "M5.5 6a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M8 13h.01"],
  drained: ["wait", "M5.5 3v10M10.5 3v10"],
  resting: ["wait", "M12.5 10A5.5 5.5 0 0 1 6 3.5a5.5 5.5 0 1 0 6.5 6.5z"],
  free: ["good", "M3 8.5l3.5 3.5L13 4.5"],
  paced: ["busy", "M3 8h10M10 5l3 3-3 3"],
  limited: ["wait", "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M5 8h6"],
  connected: ["good", "M3 8.5l3.5 3.5L13 4.5"],
  disconnected: ["bad", "M4 4l8 8M12 4l-8 8"],
};
const shapeOf = (state: TaskStatus | keyof typeof OTHER_SHAPES) =>
  isTaskStatus(state) ? TASK_FACTS[state].shape : OTHER_SHAPES[state];
const FILLED: ReadonlySet<string> = new Set(["online", "running"]);

export function StateShape({ state, word }: { state: Parameters<typeof shapeOf>[0]; word: string }) {
  const [tone, path] = shapeOf(state);
  return (
    <span class={`state ${tone}`} data-state={state}>
      <svg viewBox="0 0 16 16" aria-hidden="true" class={FILLED.has(state) ? "filled" : undefined}>
        <path d={path} />
      </svg>
      {word}
    </span>
  );
}

export const toneOf = (status: TaskStatus) => shapeOf(status)[0];

export const TaskState = ({ status }: { status: TaskStatus }) => (
  <StateShape state={status} word={texts.value.states.task[status]} />
);

export const WorkerStateOf = ({ worker }: { worker: Worker }) => {
  const state = workerStateOf(worker);
  return <StateShape state={state} word={texts.value.states.worker[state]} />;
};

/** What matters most of a worker's state: whether it is there, and then why it gets no work. */
export function workerStateOf({ status, drain, rest, account_rest }: Worker): WorkerState {
  if (status !== "online") return status;
  return drain ? "drained" : (rest ?? account_rest) ? "resting" : "online";
}
