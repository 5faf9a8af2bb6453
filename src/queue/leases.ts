import { and, desc, eq } from "drizzle-orm";
import type { Lease } from "../contract/views.ts";
import type { Db } from "../db/client.ts";
import { leases } from "../db/schema.ts";

const newestFirst = [desc(leases.started_at), desc(leases.id)];

/** All leases, or those in `status`, newest first. */
export function listLeases(db: Db, status?: Lease["status"]): Promise<Lease[]> {
  return db
    .select()
    .from(leases)
    .where(status && eq(leases.status, status))
    .orderBy(...newestFirst);
}

/** The leases that the worker holds now, newest first. */
export function activeLeasesOf(db: Db, workerId: string): Promise<Lease[]> {
  return db
    .select()
    .from(leases)
    .where(and(eq(leases.worker_id, workerId), eq(leases.status, "active")))
    .orderBy(...newestFirst);
}
