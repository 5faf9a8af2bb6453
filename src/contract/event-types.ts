/** The types of events, and the patterns that stand for several. Which action makes which is in db/audit-actions.ts. */

import { TYPE_OF_ACTION } from "../db/audit-actions.ts";

/** The end of an attempt that was not the end of its task: the task's own event comes right behind it. */
export const ATTEMPT_ENDED = "task.attempt_ended";

/** All names, in the order of the alphabet. */
const EVENT_TYPES: readonly string[] = [
  ...new Set<string>([...Object.values(TYPE_OF_ACTION), ATTEMPT_ENDED, "other"]),
].toSorted();

/** The type, or all types that begin as `task.*` says, that `pattern` stands for; none when there is no such type. */
export function typesFor(pattern: string): string[] {
  if (!pattern.endsWith(".*")) return EVENT_TYPES.filter((type) => type === pattern);
  return EVENT_TYPES.filter((type) => type.startsWith(pattern.slice(0, -1)));
}
