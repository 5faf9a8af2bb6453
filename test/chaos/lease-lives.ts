/** When leases were active, and which of them must not have been at once. */

export interface LeaseRow {
  id: string;
  task_id: string;
  worker_id: string;
  started_at: number;
  status: string;
}

export interface Entry {
  seq: number;
  timestamp: number;
  action: string;
  entity_id: string;
  actor: string;
  detail: string;
}

/**
 * A lease's life by the numbers of its audit entries; `end` is infinite while it is active. A number is drawn when all locks are had:
 * whoever makes room has drawn a lower one than whoever takes that room. Times do not tell that, since a statement has the time of its
 * start, before it waits for a lock.
 */
export interface Span {
  lease: LeaseRow;
  start: number;
  end: number;
  /** By its times. */
  startMs: number;
  endMs: number;
}

/** Whoever executes tasks, and how many at once. */
export interface Capped {
  name: string;
  cap: number;
}

/** `entries` are in the order of their numbers. Gives the spans in the order of their starts. */
export function spansOf(leases: LeaseRow[], entries: Entry[]): Span[] {
  const starts = new Map<string, number>();
  const ends = new Map<string, Entry>();
  const endOf = (leaseId: string | undefined, entry: Entry) => leaseId && ends.set(leaseId, entry);
  const current = new Map<string, string>();
  const taskOf = new Map(leases.map(({ id, task_id }) => [id, task_id]));
  for (const entry of entries) {
    if (entry.action === "task_leased") {
      current.set(taskOf.get(entry.entity_id) ?? "", entry.entity_id);
      starts.set(entry.entity_id, entry.seq);
    }
    if (entry.action === "lease_expired") endOf(entry.entity_id, entry);
    if (entry.action === "task_released") endOf(current.get(entry.entity_id), entry);
    // A late result has no lease to end: that one expired before.
    if (entry.action === "task_completed" && !entry.detail.includes("had ended"))
      endOf(current.get(entry.entity_id), entry);
  }
  const spans = leases.map((lease) => ({
    lease,
    start: starts.get(lease.id) ?? 0,
    end: ends.get(lease.id)?.seq ?? Number.POSITIVE_INFINITY,
    startMs: lease.started_at,
    endMs: ends.get(lease.id)?.timestamp ?? Number.POSITIVE_INFINITY,
  }));
  return spans.sort((a, b) => a.start - b.start);
}

type NameOf = (lease: LeaseRow) => string | null | undefined;

/** Of what has the same name, one lease at a time is active. */
export const overlaps = (spans: Span[], nameOf: NameOf): string[] =>
  conflicts(spans, nameOf, (before, after) => before.end > after.start);

/**
 * Numbers alone do not tell who held a key, since a lease may draw its number before it waits for the key in an index. Times alone do not
 * either, since a lease's is from before it waits for a lock. Two that held a key at once overlap by both.
 */
const KEY_WAIT_MS = 2_000;
export const overlapsOfKeys = (spans: Span[], keyOf: NameOf): string[] =>
  conflicts(
    spans.toSorted((a, b) => a.startMs - b.startMs),
    keyOf,
    (before, after) => before.end > after.start && before.endMs > after.startMs + KEY_WAIT_MS,
  );

function conflicts(spans: Span[], nameOf: NameOf, areBoth: (before: Span, after: Span) => boolean): string[] {
  const last = new Map<string, Span>();
  return spans.flatMap((span) => {
    const name = nameOf(span.lease);
    if (!name) return [];
    const before = last.get(name);
    last.set(name, span);
    return before && areBoth(before, span) ? [`leases ${before.lease.id} and ${span.lease.id} of ${name} overlap`] : [];
  });
}

/** Workers that held more leases at once than they take. */
export function overloads(spans: Span[], workers: Capped[]): string[] {
  return workers.flatMap(({ name, cap }) => {
    const own = spans.filter(({ lease }) => lease.worker_id === name);
    const events = own.flatMap(({ start, end }) => [
      { at: start, change: 1 },
      { at: end, change: -1 },
    ]);
    let held = 0;
    let most = 0;
    for (const { change } of events.sort((a, b) => a.at - b.at)) {
      held += change;
      most = Math.max(most, held);
    }
    return most > cap ? [`worker ${name} held ${most} leases at once; it takes ${cap}`] : [];
  });
}
