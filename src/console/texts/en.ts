/** The texts in English. Each part is of a page, or of what all pages share. */
import { accounts } from "./en/accounts.ts";
import { actions } from "./en/actions.ts";
import { audit } from "./en/audit.ts";
import { causes } from "./en/causes.ts";
import { common } from "./en/common.ts";
import { membridge } from "./en/membridge.ts";
import { newTask } from "./en/new-task.ts";
import { now } from "./en/now.ts";
import { settings } from "./en/settings.ts";
import { shell } from "./en/shell.ts";
import { states } from "./en/states.ts";
import { task } from "./en/task.ts";
import { tasks } from "./en/tasks.ts";
import { workers } from "./en/workers.ts";

export const en = {
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
