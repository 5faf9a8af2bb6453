/** Audit entries: those that the service has written about a record, and one that a test writes itself. */
import type { TestDatabase } from "./database.ts";

type Query = TestDatabase["query"];

/** The actions of all entries about the record with this id, oldest first. */
export async function actionsOf(query: Query, entityId: string): Promise<string[]> {
  const entries = await query<{ action: string }>("select action from audit_logs where entity_id = $1 order by seq", [
    entityId,
  ]);
  return entries.map(({ action }) => action);
}

/** The entries about the record that have this action, oldest first. */
export const entriesOf = (query: Query, entityId: string, action: string) =>
  query<{ actor: string; detail: string }>(
    "select actor, detail from audit_logs where entity_id = $1 and action = $2 order by seq",
    [entityId, action],
  );

/** The SQL that writes an entry about a worker of this name. Without `timestamp` it is the oldest that there can be. */
export const workerEntry = (name: string, timestamp = 1) =>
  `insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
   values (gen_random_uuid(), ${timestamp}, 'worker_updated', 'worker', '${name}', 'x', 'x')`;
