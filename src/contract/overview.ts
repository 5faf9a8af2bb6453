/** How the work goes, in one answer. */
import { z } from "zod";
import { statsAnswer } from "./answers.ts";
import { count, time, words } from "./record-fields.ts";

const untakeable = z
  .object({
    requires: z.array(z.string()).describe("The labels that no worker has that is online."),
    tasks: count("How many such tasks there are among the 1,000 that wait for longest."),
    example: words("The id of one of them.", "01a2171b-7bd8-7c1d-8e6f-0a1b2c3d4e5f"),
    since: time("Since when the first of them waits."),
  })
  .describe("Tasks with the same labels.");

export const overviewAnswer = z
  .object({
    counts: statsAnswer,
    oldest_due_ms: count("For how long the task that is due for longest has been queued; 0: none is due."),
    slots: z
      .object({
        used: count("Active leases."),
        free: count("How many more tasks the workers that are online could get."),
      })
      .describe("The room of the workers."),
    ended_by_minute: z
      .array(z.int())
      .describe("How many attempts ended with a result in each of the last 60 minutes, the oldest minute first."),
    untakeable: z.array(untakeable).describe("Queued tasks that no worker can take: the first five kinds."),
  })
  .meta({ id: "Overview", description: "How the work goes." });

export type Overview = z.output<typeof overviewAnswer>;
