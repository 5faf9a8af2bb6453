/** The texts in English. Each part is of a page, or of what all pages share. */
import { common } from "./en/common.ts";
import { now } from "./en/now.ts";
import { shell } from "./en/shell.ts";
import { states } from "./en/states.ts";
import { task } from "./en/task.ts";
import { tasks } from "./en/tasks.ts";

export const en = { common, now, shell, states, task, tasks };
