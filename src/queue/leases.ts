import { and, desc, eq, sql } from "drizzle-orm";
import { LEASE_FIELDS, type Lease } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { jsonOf } from "../db/columns.ts";
import type { Source } from "../db/pages.ts";
import { leases } from "../db/schema.ts";
import { leaseColumns } from "./fence.ts";

const newestFirst = [desc(leases.started_at), desc(leases.id)];

/** The list of all leases, or of those in `status`, newest first. */
export function leasesIn(status?: Lease["status"]): Source {
  return {
    table: leases,
    id: leases.id,
    time: leases.started_at,
    where: status && eq(leases.status, status),
    record: jsonOf(LEASE_FIELDS),
    weight: sql`300`,
    order: "newest first",
    isRare: status === "active",
  };
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
