/** The texts in Ukrainian. */
import type { Texts } from "./shape.ts";
import { accounts } from "./uk/accounts.ts";
import { actions } from "./uk/actions.ts";
import { audit } from "./uk/audit.ts";
import { causes } from "./uk/causes.ts";
import { common } from "./uk/common.ts";
import { membridge } from "./uk/membridge.ts";
import { newTask } from "./uk/new-task.ts";
import { now } from "./uk/now.ts";
import { settings } from "./uk/settings.ts";
import { shell } from "./uk/shell.ts";
import { states } from "./uk/states.ts";
import { task } from "./uk/task.ts";
import { tasks } from "./uk/tasks.ts";
import { workers } from "./uk/workers.ts";

export const uk: Texts = {
  accounts,
  actions,
  audit,
  causes,
  common,
  membridge,
  newTask,
  now,
  settings,
  shell,
  states,
  task,
  tasks,
  workers,
};
