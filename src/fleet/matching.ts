/**
 * Which worker may take which task: the rule by which claims, leases, dispatches and explanations all go. How much room a worker has is in
 * capacity.ts, and which of several workers is best in router.ts.
 */
import { type SQL, type SQLWrapper, sql } from "drizzle-orm";
import type { Cause, Reason } from "../contract/causes.ts";
import { nowMs } from "../db/clock.ts";
import { workers } from "../db/fleet-tables.ts";
import { labelSetIdOf } from "../db/queued-indexes.ts";
import type { TaskRow } from "../db/row-types.ts";
import { llmTasks } from "../db/task-tables.ts";
import { isAccountIdle, isPaced } from "./account-pace.ts";
import { takesCalls } from "./refusing-agents.ts";
import { isInForce, isResting } from "./worker-rest.ts";

/** A column of the task, or of the worker, as SQL: each statement has them in a place of its own. */
export type OfTask = (column: keyof TaskRow) => SQLWrapper;
export type OfWorker = (column: keyof typeof workers.$inferSelect) => SQLWrapper;

/** For queries on `llm_tasks` and on `workers` themselves. */
export const ofTaskRow: OfTask = (column) => llmTasks[column];
const ofWorkerRow: OfWorker = (column) => workers[column];

/** A part of the rule. All parts must allow a worker to take a task. */
interface Part {
  /** True in SQL when the worker may take the task as far as this part decides; never null. */
  allows: (ofTask: OfTask, ofWorker: OfWorker) => SQL;
  /** In SQL, why the worker may not: a text that goes on after the worker's name. */
  refusal: (ofTask: OfTask, ofWorker: OfWorker) => SQL;
  /** The refusal for programs: its code, and as JSON in SQL what it is about. Without a cause, the code is `not_allowed`. */
  cause?: { code: Cause["code"]; about: (ofTask: OfTask, ofWorker: OfWorker) => SQL };
  /** A quick form of "exists (select from able where allows)", where `able` is a CTE with rows of `workers`. */
  allowsOneOf?: (ofTask: OfTask, able: SQL) => SQL;
}

/** With `allow_fallback` false, only the worker that had the task first may have it. */
const fallback: Part = {
  allows: (ofTask, ofWorker) =>
    sql`(${ofTask("allow_fallback")} or ${ofTask("tried_by")} is null or ${ofTask("tried_by")} = ${ofWorker("id")})`,
  refusal: (ofTask) => sql`'may not have it: it is kept to worker ' || ${ofTask("tried_by")}`,
  cause: { code: "kept_to", about: (ofTask) => sql`jsonb_build_object('worker_id', ${ofTask("tried_by")})` },
  allowsOneOf: (ofTask, able) =>
    sql`(${ofTask("allow_fallback")} or ${ofTask("tried_by")} is null or ${ofTask("tried_by")} in (select id from ${able}))`,
};

/** The labels that the task requires and the worker lacks, as a JSON array in SQL. */
const lackedLabels = (ofTask: OfTask, ofWorker: OfWorker) =>
  sql`(select jsonb_agg(label) from jsonb_array_elements_text(${ofTask("requires")}) as label
        where not ${hasLabels(sql`jsonb_build_array(label)`, ofWorker("labels"))})`;

/** The worker has all labels that the task requires. */
const labels: Part = {
  allows: (ofTask, ofWorker) => hasLabels(ofTask("requires"), ofWorker("labels")),
  refusal: (ofTask, ofWorker) =>
    sql`'lacks the label(s) ' || (select string_agg(label, ', ') from jsonb_array_elements_text(${lackedLabels(ofTask, ofWorker)}) as label)`,
  cause: {
    code: "lacks_labels",
    about: (ofTask, ofWorker) => sql`jsonb_build_object('labels', ${lackedLabels(ofTask, ofWorker)})`,
  },
  // Queries that compare many tasks with many workers find the tasks by `labelSetsWithin`.
  allowsOneOf: () => sql`true`,
};

const RULE = [fallback, labels];

/** True in SQL when the worker may take the task. Whether the worker gets work at all is `takesNewWork` or `isAvailable`. */
export function mayTake(ofTask: OfTask, ofWorker: OfWorker = ofWorkerRow): SQL {
  return sql`(${sql.join(
    RULE.map(({ allows }) => allows(ofTask, ofWorker)),
    sql` and `,
  )})`;
}

/**
 * `mayTake` for the worker's own claim. A worker that failed the task leaves it to others until `elsewhere_until`. The router does not ask for
 * that: it chooses such a worker last.
 */
export function mayClaim(ofTask: OfTask, ofWorker: OfWorker): SQL {
  return sql`(${mayTake(ofTask, ofWorker)} and (${ofTask("allow_fallback")} and ${ofTask("tried_by")} = ${ofWorker("id")}
    and ${ofTask("elsewhere_until")} > ${nowMs}) is not true)`;
}

/**
 * The columns of a task that `mayClaim` and `mayTake` ask for. A statement that keeps tasks for a later choice must keep these columns. Tasks that
 * are equal in them are equal for every worker.
 */
export const RULE_COLUMNS: readonly string[] = namedBy((ofTask) => mayClaim(ofTask, ofWorkerRow));

function namedBy(rule: (ofTask: OfTask) => SQL): (keyof TaskRow)[] {
  const named = new Set<keyof TaskRow>();
  rule((column) => {
    named.add(column);
    return llmTasks[column];
  });
  return [...named];
}

/** The reasons why the worker may not take the task, as an array in JSON; empty when it may. */
export function refusalsOf(ofTask: OfTask, ofWorker: OfWorker = ofWorkerRow): SQL<Reason[]> {
  const refusals = RULE.map(({ allows, refusal, cause }) => {
    const says = refusal(ofTask, ofWorker);
    const about = cause?.about(ofTask, ofWorker) ?? sql`jsonb_build_object('said', ${says})`;
    const code = sql.raw(`'${cause?.code ?? ("not_allowed" satisfies Cause["code"])}'`);
    return sql`case when not ${allows(ofTask, ofWorker)} then
      jsonb_build_object('says', ${says}, 'cause', jsonb_build_object('code', ${code}) || ${about}) end`;
  });
  return sql`to_jsonb(array_remove(array[${sql.join(refusals, sql`, `)}], null))`;
}

/**
 * True in SQL when some worker in the CTE `able` may take a task that was found by `labelSetsWithin`. Each part is checked by itself, which is
 * faster. A few tasks may pass that no single worker can take; the lease then refuses them.
 */
export function mayBeTakenByOneOf(able: SQL, ofTask: OfTask): SQL {
  const parts = RULE.map(
    ({ allows, allowsOneOf }) =>
      allowsOneOf?.(ofTask, able) ??
      sql`exists (select from ${able} as workers where ${allows(ofTask, (column) => sql`workers.${sql.identifier(column)}`)})`,
  );
  return sql`(${sql.join(parts, sql` and `)})`;
}

/** True in SQL for a worker that an operator has drained. An expired drain counts as no drain. */
export const isDrained = isInForce(workers.drain);

/** True in SQL for a worker that may get new work at all: it is neither drained nor resting. */
export const takesNewWork = sql`(not ${isDrained} and not ${isResting})`;

/** True in SQL for a worker that the router may choose, whatever its load is. */
export const isAvailable = sql`(${workers.status} = 'online' and ${workers.has_cli} and ${takesNewWork}
    and (not ${isPaced} or ${isAccountIdle}))`;

/** True in SQL for a worker whose agent the service may call by its own choice. */
export const isCallable = sql`(${workers.url} <> '' and ${takesCalls})`;

/** True in SQL when the worker's `labels` contain all labels in `requires`. Both are JSON arrays. */
export function hasLabels(requires: SQLWrapper, labels: SQLWrapper = ofWorkerRow("labels")): SQL {
  return sql`${requires} <@ ${labels}`;
}

/** The rule of `hasLabels` for labels that are in memory. */
export function coversLabels(labels: ReadonlySet<string>, requires: readonly string[]): boolean {
  return requires.every((label) => labels.has(label));
}

/**
 * The rule of `hasLabels` for many tasks and many groups of workers in memory: finds the first group that has all labels that a task
 * requires, and that `suits`. Only the groups with the rarest of these labels are looked at, since each of 10,000 workers may have labels
 * of its own.
 */
export function findByLabels<Group extends { labels: ReadonlySet<string> }>(
  groups: readonly Group[],
): (requires: readonly string[], suits: (group: Group) => boolean) => Group | undefined {
  const byLabel = new Map<string, Group[]>();
  for (const group of groups)
    for (const label of group.labels) {
      const some = byLabel.get(label);
      if (some) some.push(group);
      else byLabel.set(label, [group]);
    }
  return (requires, suits) =>
    requires
      .map((label) => byLabel.get(label) ?? [])
      .reduce((rarest, some) => (some.length < rarest.length ? some : rarest), groups)
      .find((group) => suits(group) && coversLabels(group.labels, requires));
}

/** The set of labels that a queued task asks for, in the form in which an index has it. */
export const labelSetId = labelSetIdOf(llmTasks.requires);

/**
 * The rule of `hasLabels` in the form that an index serves: the recursive CTE `sets`, with each set of labels that queued tasks ask for, as
 * `label_set`, and that lies within `labels`, a JSON array in SQL. With `labels` null there are no sets. The cost is an index look-up for each set
 * that fits, and few more: after a set that does not fit, the search leaps past all sets with the same foreign label.
 */
export function labelSetsWithin(labels: SQL): SQL {
  const own = sql`(select bloom_runtime.label_key(own.labels) from (select ${labels} as labels) as own where own.labels is not null)`;
  const from = (atLeast: SQL, table: SQL) => sql`
      select found.label_set, bloom_runtime.next_label_key(found.label_set, ${own}) as next from ${table} cross join lateral (
        select ${labelSetId} as label_set from ${llmTasks} where status = 'queued' and ${labelSetId} >= ${atLeast} order by ${labelSetId} limit 1
      ) as found`;
  return sql`steps as (${from(sql`start`, sql`(select '{}'::bigint[] as start where ${own} is not null) as begin`)}
      union all ${from(sql`steps.next`, sql`steps`)}
    ), sets as materialized (
      select label_set from steps where next[cardinality(label_set) + 1] = -1
    )`;
}
