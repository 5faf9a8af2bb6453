import { and, desc, eq, inArray, sql } from "drizzle-orm";
import type { LeaseFilter } from "../contract/filters.ts";
import { LEASE_FIELDS, type Lease } from "../contract/record-types.ts";
import type { Db } from "../db/client.ts";
import { jsonOf } from "../db/column-lists.ts";
import type { Part, Source } from "../db/list-source.ts";
import { leases } from "../db/task-tables.ts";
import { leaseColumns } from "./fence.ts";

const newestFirst = [desc(leases.started_at), desc(leases.id)];

/** The list of the leases that match the filter, newest first. */
export function leasesIn(filter: LeaseFilter = {}): Source {
  return {
    table: leases,
    id: leases.id,
    time: leases.started_at,
    since: filter.created_after,
    until: filter.created_before,
    parts: partsOf(filter),
    record: jsonOf(LEASE_FIELDS),
    weight: sql`300`,
    order: "newest first",
  };
}

/** A task has few leases, and a status but `released` has either few or an index. The released ones are most of all. */
function partsOf({ status, task_id, worker_id, context_id }: LeaseFilter): Part[] {
  const sift = and(
    worker_id === undefined ? undefined : eq(leases.worker_id, worker_id),
    context_id === undefined ? undefined : eq(leases.context_id, context_id),
  );
  if (task_id !== undefined) {
    const among = status && inArray(leases.status, status);
    return [{ where: and(eq(leases.task_id, task_id), among), sift, isRare: true }];
  }
  if (!status) return [{ sift }];
  return status.map((each) => ({ where: eq(leases.status, each), sift, isRare: each === "active" }));
}

/** More than any worker has room for. A worker may hold even more, since a caller that names it is not refused for lack of room. */
const MOST_SHOWN = 1_000;

/** The leases that the worker holds now, the 1,000 newest first. */
export function activeLeasesOf(db: Db, workerId: string): Promise<Lease[]> {
  return db
    .select(leaseColumns)
    .from(leases)
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")))
    .orderBy(...newestFirst)
    .limit(MOST_SHOWN);
}
