import { is, Placeholder, type SQL } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { sha256Of } from "../sha256.ts";
import type { Db, Value } from "./client.ts";
import { type WaitsFor, waitsForByText } from "./lock-waits.ts";
import { mustBeginAgain, repeatWhile, StaleView } from "./retry.ts";

const dialect = new PgDialect();

/**
 * SQL of our own with `sql.placeholder`s, built once and prepared on each connection. Unprepared and built by Drizzle at each call, a task's life
 * took 20 times as long as bare SQL; the number of round trips counts most. It must be given exactly the values that its text names: a column that is
 * left out of an INSERT is an error, not a value that is lost. Without `waitsFor`, the statement's text decides what it may wait for (lock-waits.ts).
 */
export function statement<Row, Values extends Record<string, Value>>(
  name: string,
  query: SQL,
  { waitsFor }: { waitsFor?: WaitsFor } = {},
): (db: Db, values: Values) => Promise<Row[]> {
  const { sql: text, params } = dialect.sqlToQuery(query);
  // Behind PgBouncer another version of the service may have prepared another text under this name.
  const prepared = { name: `${name}_${sha256Of(text).slice(0, 12)}`, text, waitsFor: waitsFor ?? waitsForByText(text) };
  const names = params.map((param) => {
    if (is(param, Placeholder)) return param.name;
    throw new Error(`The statement ${name} has a value in its text: make it a placeholder, or write it with sql.raw.`);
  });
  const known = new Set(names);
  return (db, values) => {
    const listed = names.map((each) => given(values, each));
    const surplus = Object.keys(values).find((each) => !known.has(each));
    if (surplus !== undefined) throw new Error(`The statement ${name} does not use its value for ${surplus}.`);
    return db.run<Row>(prepared, listed);
  };
}

/** The value of a placeholder. Drizzle's own `fillPlaceholders` walks the prototypes of each placeholder at each call. */
function given(values: Record<string, Value>, name: string): Value {
  const value = values[name];
  if (value !== undefined) return value;
  throw new Error(`The statement has no value for ${name}.`);
}

/** More attempts than a transaction gets: a single statement is short, and many others may be faster before it succeeds. */
const ATTEMPTS = 20;

/**
 * Runs a transition that is one statement, guarded in its WHERE, and gives its row. No row means that the transition was not allowed, or that what
 * the statement had read was older than the lock that it waited for. `explain` looks for the reason and throws it. When `explain` finds none, or the
 * database rolled the statement back for the sake of others, the statement runs again, twenty times in all. Overtaken: others were faster each
 * time.
 */
export function transition<Row extends object>(
  run: () => Promise<Row | undefined>,
  explain: () => Promise<unknown>,
): Promise<Row> {
  const runOnce = async () => {
    const row = await run();
    if (row) return row;
    await explain();
    throw new StaleView("The statement changed nothing, and nothing forbids the change.");
  };
  return repeatWhile(runOnce, mustBeginAgain, ATTEMPTS);
}
