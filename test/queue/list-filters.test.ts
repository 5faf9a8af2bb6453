import fc from "fast-check";
import { expect, it } from "vitest";
import type { AuditFilter, TaskFilter } from "../../src/contract/filters.ts";
import type { AuditEntry, Task } from "../../src/contract/record-types.ts";
import type { Db } from "../../src/db/client.ts";
import { newId } from "../../src/db/ids.ts";
import type { Cursor, Source } from "../../src/db/list-source.ts";
import { openPage } from "../../src/db/pages.ts";
import { TASK_STATUSES } from "../../src/db/statuses.ts";
import { auditEntries } from "../../src/queue/audit-list.ts";
import { tasks } from "../../src/queue/task-list.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask } from "../support/factories.ts";
import { propertyRuns } from "../support/property-runs.ts";

/** Every row of the list, page by page. */
async function whole<Row>(
  db: Db,
  source: Source,
  wanted: { limit: number; lookedAt: number },
  between = async () => {},
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after: Cursor | undefined, isFirst = true; isFirst || after; isFirst = false) {
    const { first, following, next } = await openPage(db, source, { ...wanted, after });
    expect(following).toBeUndefined();
    const page = JSON.parse(`[${first}]`);
    expect(page.length).toBeLessThanOrEqual(wanted.limit);
    rows.push(...page);
    after = next;
    await between();
  }
  return rows;
}

const pages = { limit: fc.integer({ min: 5, max: 60 }), lookedAt: fc.constantFrom(11, 40, 50_000) };
const some = <T>(...values: T[]) => fc.constantFrom(...values);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const severalOf = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1 });
const contains = (text: string | null, part: string) => text?.toLowerCase().includes(part.toLowerCase()) ?? false;

it("a list of tasks has exactly the rows that its filter means, whatever comes in while it is read", async () => {
  const { db, query } = await createTestDatabase();
  const kinds = ["timeout", "crashed"] as const;
  const contexts = ["garden", "Garden-2", "%_", "house"];
  const slugs = ["writer", "gardener", "0123abcd"];
  const task = fc.record({
    id: fc.uuid({ version: 4 }),
    context_id: some(...contexts),
    agent_slug: some(...slugs),
    status: some(...TASK_STATUSES),
    worker_id: some("w1", "w2", null),
    error_kind: some(...kinds, null, null),
    created_at: fc.integer({ min: 1, max: 40 }),
  });
  const [rows = []] = fc.sample(fc.array(task, { minLength: 250, maxLength: 250 }), { numRuns: 1, seed: 17 });
  await query(
    `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at,
       lease_id, worker_id, attempts, max_attempts, error_kind)
     select id, context_id, agent_slug, 'p', '[]', '{"timeout_sec": 1, "budget": 0}', 'text', status, created_at, created_at,
       case when status in ('leased', 'running') then id end, worker_id, 0, 3, error_kind
     from json_populate_recordset(null::llm_tasks, $1)`,
    [JSON.stringify(rows)],
  );
  const newestFirst = rows.toSorted((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
  const filters: fc.Arbitrary<TaskFilter> = fc.record({
    status: maybe(severalOf(TASK_STATUSES)),
    context_id: maybe(some(...contexts)),
    agent_slug: maybe(some(...slugs)),
    worker_id: maybe(some("w1", "w2")),
    error_kind: maybe(severalOf(kinds)),
    created_after: maybe(fc.integer({ min: 0, max: 41 })),
    created_before: maybe(fc.integer({ min: 0, max: 41 })),
    q: maybe(
      some("GARDEN", "er", "_", "%", "0123abcd", ...rows.slice(0, 9).map(({ id }, n) => id.slice(0, 8 + 3 * n))),
    ),
  });
  const isMeant = (row: (typeof rows)[number], filter: TaskFilter) =>
    (filter.status?.includes(row.status) ?? true) &&
    (filter.context_id ?? row.context_id) === row.context_id &&
    (filter.agent_slug ?? row.agent_slug) === row.agent_slug &&
    (filter.worker_id ?? row.worker_id) === row.worker_id &&
    (filter.error_kind?.some((kind) => kind === row.error_kind) ?? true) &&
    row.created_at >= (filter.created_after ?? 0) &&
    row.created_at < (filter.created_before ?? 99) &&
    (filter.q === undefined ||
      contains(row.context_id, filter.q) ||
      contains(row.agent_slug, filter.q) ||
      row.id.startsWith(filter.q));
  const comesIn = async () => {
    await aTask(db, { context_id: "garden", agent_slug: "writer" });
  };
  await fc.assert(
    fc.asyncProperty(filters, fc.record(pages), fc.boolean(), async (filter, wanted, isBusy) => {
      const bounded = { ...filter, created_before: filter.created_before ?? 99 };
      const detail = isBusy ? "slim" : "whole";
      const found = await whole<Task>(db, tasks(bounded, detail), wanted, isBusy ? comesIn : undefined);
      expect(found.map(({ id }) => id)).toEqual(newestFirst.filter((row) => isMeant(row, filter)).map(({ id }) => id));
    }),
    { numRuns: propertyRuns(40) },
  );
});

it("a list of audit entries has exactly those that its filter means", async () => {
  const { db, query } = await createTestDatabase();
  const action = some("task_created", "task_leased", "task_completed", "task_dead", "worker_offline");
  const entry = fc.record({
    action,
    entity_type: some("llm_task", "lease", "worker"),
    entity_id: some("a", "b", "c"),
    actor: some("api", "runtime"),
    timestamp: fc.integer({ min: 1, max: 40 }).map((minute) => minute * 60_000),
  });
  const [drawn = []] = fc.sample(fc.array(entry, { minLength: 200, maxLength: 200 }), { numRuns: 1, seed: 18 });
  // As in a real log, the actions of every task are about tasks and leases alone, and the times are out of order by seconds.
  const rows = drawn
    .toSorted((a, b) => a.timestamp - b.timestamp)
    .map((row, n) => ({
      ...row,
      id: newId(),
      detail: "d",
      timestamp: row.timestamp + (n % 7) * 10_000,
      entity_type: ["task_created", "task_leased", "task_completed"].includes(row.action)
        ? "llm_task"
        : row.entity_type,
    }));
  // The places of entries have holes, as a transaction that was rolled back leaves them.
  for (const part of [rows.slice(0, 90), rows.slice(90)]) {
    await query(
      `insert into audit_logs (id, timestamp, action, entity_type, entity_id, actor, detail)
       select id, timestamp, action, entity_type, entity_id, actor, detail
       from json_populate_recordset(null::audit_logs, $1)`,
      [JSON.stringify(part)],
    );
    await query("select setval(pg_get_serial_sequence('audit_logs', 'seq'), 1000)");
  }
  const time = maybe(fc.integer({ min: 0, max: 45 }).map((minute) => minute * 60_000));
  const filters: fc.Arbitrary<AuditFilter> = fc.record({
    action: maybe(fc.uniqueArray(action, { minLength: 1 })),
    entity_type: maybe(some("llm_task", "lease", "worker")),
    entity_id: maybe(some("a", "b", "none")),
    actor: maybe(some("api", "runtime")),
    created_after: time,
    created_before: time,
  });
  const isMeant = (row: (typeof rows)[number], filter: AuditFilter) =>
    (filter.action?.includes(row.action) ?? true) &&
    (filter.entity_type ?? row.entity_type) === row.entity_type &&
    (filter.entity_id ?? row.entity_id) === row.entity_id &&
    (filter.actor ?? row.actor) === row.actor &&
    row.timestamp >= (filter.created_after ?? 0) &&
    row.timestamp < (filter.created_before ?? Number.POSITIVE_INFINITY);
  await fc.assert(
    fc.asyncProperty(filters, fc.record(pages), async (filter, wanted) => {
      const found = await whole<AuditEntry>(db, await auditEntries(db, filter), wanted);
      const meant = rows.filter((row) => isMeant(row, filter)).reverse();
      expect(found.map(({ id }) => id)).toEqual(meant.map(({ id }) => id));
    }),
    { numRuns: propertyRuns(40) },
  );
});
