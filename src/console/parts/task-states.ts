/** The states of a task as the console knows them. A test compares them with db/statuses.ts. */
import type { Explanation } from "../../client/index.ts";

export type TaskStatus = Explanation["status"];

/** The drawing is in a field of 16 by 16. */
export type Shape = [tone: string, path: string];
interface TaskFacts {
  /** Whether a task in this state waits for a worker, is with one, or has ended. */
  stage: "waiting" | "held" | "ended";
  isRequeueable?: true;
  shape: Shape;
}

/** What is to know of each state of a task, in the order of its life. */
export const TASK_FACTS: Record<TaskStatus, TaskFacts> = {
  queued: { stage: "waiting", shape: ["wait", "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3l2 1.5"] },
  leased: { stage: "held", shape: ["busy", "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11"] },
  running: { stage: "held", shape: ["busy", "M5 3.5l8 4.5-8 4.5z"] },
  completed: { stage: "ended", shape: ["good", "M3 8.5l3.5 3.5L13 4.5"] },
  failed: { stage: "ended", isRequeueable: true, shape: ["bad", "M4 4l8 8M12 4l-8 8"] },
  dead: {
    stage: "ended",
    isRequeueable: true,
    shape: ["bad", "M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM6 6l4 4M10 6l-4 4"],
  },
  cancelled: { stage: "ended", shape: ["off", "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M4.2 11.8l7.6-7.6"] },
};

export const TASK_STATUSES = Object.keys(TASK_FACTS) as TaskStatus[];
export const isTaskStatus = (name: string): name is TaskStatus => Object.hasOwn(TASK_FACTS, name);
export const stageOf = (status: TaskStatus) => TASK_FACTS[status].stage;
/** An operator may queue the task again. */
export const isRequeueable = (status: TaskStatus) => TASK_FACTS[status].isRequeueable === true;
/** The states of a task that a worker has. */
export const HELD_STATUSES = TASK_STATUSES.filter((status) => stageOf(status) === "held");
