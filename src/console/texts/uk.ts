/** The texts in Ukrainian. */
import type { Texts } from "./keys.ts";
import { common } from "./uk/common.ts";
import { now } from "./uk/now.ts";
import { shell } from "./uk/shell.ts";
import { states } from "./uk/states.ts";
import { task } from "./uk/task.ts";
import { tasks } from "./uk/tasks.ts";

export const uk: Texts = { common, now, shell, states, task, tasks };
