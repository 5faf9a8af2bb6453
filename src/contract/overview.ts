/** How the work goes, in one answer. */
import { z } from "zod";
import { REQUEUEABLE_STATUSES } from "../db/statuses.ts";
import { statsAnswer } from "./answers.ts";
import { count, time, words } from "./record-fields.ts";
import { slimTaskRecord } from "./slim-records.ts";
import { accountRecord, workerRecord } from "./worker-record.ts";

/** How many there are at most of each kind of what the overview lists. */
export const MOST = { accounts: 50, workersOfEachKind: 5, failures: 6, untakeable: 5, drained: 3 };

const untakeable = z
  .object({
    requires: z.array(z.string()).describe("Labels that no online worker has, drained workers aside."),
    drained: z
      .array(z.string())
      .describe(`Online workers that have these labels and are drained: the first ${MOST.drained} by name.`),
    tasks: count("How many such tasks there are among the 1,000 that wait for longest."),
    example: words("The id of one of them.", "01a2171b-7bd8-7c1d-8e6f-0a1b2c3d4e5f"),
    since: time("Since when the first of them waits."),
  })
  .describe("Tasks with the same labels.");

const numbers = z.object({
  counts: statsAnswer,
  oldest_due_ms: count("For how long the task that is due for longest has been queued; 0: none is due."),
  slots: z
    .object({
      used: count("Active leases."),
      free: count("How many more tasks the online workers could get."),
    })
    .describe("The room of the workers."),
  ended_by_minute: z
    .array(z.int())
    .describe("How many attempts ended with a result in each of the last 60 minutes, the oldest minute first."),
  untakeable: z.array(untakeable).describe(`Queued tasks that no worker can take: the first ${MOST.untakeable} kinds.`),
});

const attention = z.object({
  accounts: z
    .array(accountRecord)
    .describe(`The first ${MOST.accounts} accounts by name; those at their limit before others.`),
  workers_in_trouble: z
    .array(workerRecord)
    .describe(
      `Workers that need somebody, by name. Up to ${MOST.workersOfEachKind} workers of each of four kinds: online but resting; reporting \`error\`; lost, which is offline without having said that it stops; stopped without its login or its CLI, or because it could not go on. Drained workers that are offline are not among them.`,
    ),
  failures: z
    .array(slimTaskRecord)
    .describe(
      `The last ${MOST.failures} failures: tasks that are ${REQUEUEABLE_STATUSES.map((status) => `\`${status}\``).join(" or ")} since their \`updated_at\`, the last first.`,
    ),
});

export const overviewAnswer = numbers
  .extend(attention.shape)
  .meta({ id: "Overview", description: "How the work goes." });

/** The numbers, which are read for many callers at once. */
export type OverviewNumbers = z.output<typeof numbers>;
/** What needs somebody, which is read after each caller has asked. */
export type Attention = z.output<typeof attention>;
