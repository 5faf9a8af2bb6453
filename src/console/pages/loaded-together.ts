/** Pages that are loaded together: in one file they share their words when it is compressed, which saves 7 KB of 60 against a file for each. */
import account from "./account.tsx";
import accounts from "./accounts.tsx";
import audit from "./audit.tsx";
import membridge from "./membridge.tsx";
import newTask from "./new-task.tsx";
import settings from "./settings.tsx";
import task from "./task.tsx";
import tasks from "./tasks.tsx";
import workers from "./workers.tsx";

export const loadedTogether = { account, accounts, audit, membridge, newTask, settings, task, tasks, workers };
