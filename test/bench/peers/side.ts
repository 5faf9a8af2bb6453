import type { Work } from "../load.ts";
import type { BenchDatabase } from "../postgres.ts";

/** A running service of the comparison, in a database of its own. It ends with the benchmark. */
export interface Side {
  base: string;
  /** Of the process that answers the calls. */
  pid: number;
  database: BenchDatabase;
  /** What it is, with its versions. */
  title: string;
  /** One task from its creation to its completion, in three calls. */
  work: Work;
  /** Counts the completed tasks in its database. */
  completed: string;
}
