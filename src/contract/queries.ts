/** What may stand in an address after the "?", checked once, here. */
import { z } from "zod";
import { USAGE_DIMENSIONS } from "../db/usage-tables.ts";
import { typesFor } from "./event-types.ts";
import * as filters from "./filters.ts";
import { inQuery, query } from "./filters.ts";
import { agentUrl, text } from "./request-fields.ts";

const positiveInteger = z
  .string()
  .regex(/^0*[1-9]\d{0,8}$/, "must be a positive whole number")
  .transform(Number);

const MOST_ROWS = 1_000;
const rows = (usually: number) =>
  query(positiveInteger.transform((limit) => Math.min(limit, MOST_ROWS)))
    .transform((limit) => limit ?? usually)
    .describe(`How many at most: ${usually} where it is not given, and never more than ${MOST_ROWS}.`);
/** Where a page ended, as the Link of that page says. */
const cursor = query(
  z
    .string()
    .regex(/^\d{1,16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "must come from the Link of the page before")
    .transform((text) => {
      const [time = "", id = ""] = text.split(".");
      return { time: Number(time), id };
    }),
).describe("Where the page begins, as the `Link` of the page before says.");
/** Which part of a list. */
const page = { limit: rows(500), after: cursor };
const fields = query(z.enum(["slim"])).describe("`slim`: without what may be long, and with its size instead.");

/** How long to wait for a task's end. */
export const resultWait = z.object({
  wait_seconds: query(
    z
      .string()
      .regex(/^\d{1,2}(\.\d{1,9})?$/, "must be a number from 0 to 25")
      .transform(Number)
      .pipe(z.number().max(25, "must be 25 at most")),
  )
    .transform((seconds) => seconds ?? 0)
    .describe("How long to wait for the task's end, in seconds: 0 where it is not given, and 25 at most."),
});
export const runsPage = z.object({
  limit: query(positiveInteger.pipe(z.number().max(50, "must be 50 at most"))).describe(
    "How many of the 50 are still to come, as the `Link` of a page says that was full with fewer.",
  ),
  after: cursor,
  fields,
});
const pageByName = {
  limit: rows(500),
  after: query(text(128)).describe("The name behind which the page begins, as the `Link` of the page before says."),
};
export const accountPage = z.object(pageByName);
export const workerFilter = z.object({ ...pageByName, ...inQuery(filters.workerFields) });
export const taskFilter = z.object({ ...page, ...inQuery(filters.taskFields), fields });
export const leaseFilter = z.object({ ...page, ...inQuery(filters.leaseFields) });
export const artifactFilter = z.object({ ...page, ...inQuery(filters.artifactFields), fields });
export const resultFilter = z.object({ ...page, ...inQuery(filters.resultFields), fields });
export const historyFilter = z.object({ ...page, ...inQuery(filters.historyFields) });
export const auditFilter = z.object({ ...page, limit: rows(100), ...inQuery(filters.auditFields) });
export const deliveryFilter = z.object({ ...page, ...inQuery(filters.deliveryFields) });
export const artifactUrl = z.object({
  // Seven days is the longest that S3 signs for.
  expires_seconds: query(positiveInteger.pipe(z.number().max(604_800, "must be 604800 (seven days) at most"))).describe(
    "For how long, in seconds: 3,600 where it is not given, and 604,800 (seven days) at most.",
  ),
});
/** A name that worker.sh takes, and where it finds the service. */
export const installScript = z.object({
  node_id: query(
    z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, "may have 1 to 128 letters, digits and . _ - only"),
  ).describe("The name of the worker; the machine's own name where it is not given."),
  server_url: query(agentUrl).describe(
    "Where the worker finds this service; the address of this call where it is not given.",
  ),
});
export const livePosition = z.object({
  after: query(
    z
      .string()
      .regex(/^\d{1,15}$/, "must be a position that a piece had")
      .transform(Number),
  )
    .transform((after) => after ?? 0)
    .describe("The position behind which the answer begins; 0 where it is not given."),
});
const day = (what: string) =>
  query(
    z.iso
      .date("must be a day, as 2026-01-31")
      // PostgreSQL has no year 0.
      .refine((text) => text >= "0001-01-01", "must be a day since the year 1"),
  ).describe(`${what} In UTC, as \`2026-01-31\`.`);
/** What usage is summed up by, and over which days (UTC). */
export const usageFilter = z
  .object({
    by: query(z.enum(USAGE_DIMENSIONS))
      .transform((by) => by ?? "day")
      .describe("What it is summed up by; `day` where it is not given."),
    since: day("The first day."),
    until: day("The last day."),
    account: query(text(128)).describe("What this account alone used, by day."),
    limit: rows(100),
  })
  .refine(({ by, account }) => account === undefined || by === "day", {
    path: ["account"],
    message: "is summed up by day only: leave `by` out",
  })
  .refine(({ since, until }) => !since || !until || since <= until, {
    path: ["since"],
    message: "must not be later than until",
  });
const eventTypes = z.string().transform((list, context) => {
  const patterns = list.split(",").map((pattern) => pattern.trim());
  const wrong = patterns.find((pattern) => typesFor(pattern).length === 0);
  if (wrong !== undefined)
    context.addIssue({
      code: "custom",
      message: `${wrong.slice(0, 100)} is no type of events; docs/events.md lists them`,
    });
  return new Set(patterns.flatMap(typesFor));
});
/** The events that a listener wants: their types, and the task that they are about. */
export const eventFilter = z.object({
  types: query(eventTypes).describe(
    "Types of events with commas between them, or their first part, as `task.*`; all where it is not given.",
  ),
  after: query(text(40)).describe("As `Last-Event-ID`, which wins: the id behind which the events begin."),
  task_id: query(z.guid("must be a UUID").toLowerCase()).describe("Only events about this task."),
});
