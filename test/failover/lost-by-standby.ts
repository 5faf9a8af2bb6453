/** What an asynchronous standby lacks when it is promoted: it may be forgotten, and nothing else may. */
import type { Journal } from "../chaos/callers.ts";
import type { ReplicatedPair } from "../support/replicated-pair.ts";

/** How much had been acknowledged at a moment at which the standby had all of it. */
export interface Mark {
  created: number;
  completed: number;
  cancelled: ReadonlySet<string>;
}

export const markOf = ({ created, completed, cancelled }: Journal): Mark => ({
  created: created.length,
  completed: completed.length,
  cancelled: new Set(cancelled),
});

/**
 * Takes out of the journal what was acknowledged after `mark` and is not in the database that `query` asks, and gives how much that was. What was
 * acknowledged before stays, and is missed at the end when it is not there.
 */
export async function forgive(journal: Journal, mark: Mark, query: ReplicatedPair["query"]): Promise<number> {
  const ids = async (text: string) => new Set((await query<{ id: string }>(text)).map(({ id }) => id));
  const tasks = await ids("select id from llm_tasks");
  const results = await ids("select lease_id as id from llm_results");
  const cancelled = await ids("select id from llm_tasks where status = 'cancelled'");
  const before = journal.created.length + journal.completed.length + journal.cancelled.size;
  journal.created = journal.created.filter(({ id }, n) => n < mark.created || tasks.has(id));
  journal.completed = journal.completed.filter(({ leaseId }, n) => n < mark.completed || results.has(leaseId));
  for (const id of journal.cancelled) if (!mark.cancelled.has(id) && !cancelled.has(id)) journal.cancelled.delete(id);
  // Whoever works on a task that was forgotten hears that there is no such task.
  journal.wrong = journal.wrong.filter((sentence) => !/^a completion was answered 404/.test(sentence));
  return before - journal.created.length - journal.completed.length - journal.cancelled.size;
}
