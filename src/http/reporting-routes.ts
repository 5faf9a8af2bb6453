import { z } from "zod";
import { statsAnswer, usageSum } from "../contract/answers.ts";
import { auditRecord } from "../contract/audit-record.ts";
import { leaseRecord } from "../contract/lease-record.ts";
import { type Attention, type OverviewNumbers, overviewAnswer } from "../contract/overview.ts";
import * as queries from "../contract/queries.ts";
import type { Stats } from "../contract/record-types.ts";
import { slimTaskRecord, wholeOrSlim } from "../contract/slim-records.ts";
import { taskRecord } from "../contract/task-record.ts";
import { openPage } from "../db/pages.ts";
import { auditEntries } from "../queue/audit-list.ts";
import { leasesIn } from "../queue/leases.ts";
import { tasks } from "../queue/task-list.ts";
import { usageBy } from "../queue/usage-by.ts";
import { pageOf } from "./answer-declarations.ts";
import { READERS, type Route, route } from "./route.ts";
import { cursorText, sendList, sendPage, setNext } from "./send-list.ts";

const RUNS = 50;

/** `/api/runtime/…`: leases, runs, the audit log, counts, the overview and usage. These calls only read. */
export function reportingRoutes(
  stats: () => Promise<Stats>,
  readNumbers: () => Promise<OverviewNumbers>,
  readAttention: () => Promise<Attention>,
): Route[] {
  return [
    route({
      name: "listLeases",
      summary: "List leases",
      method: "get",
      path: "/api/runtime/leases",
      access: READERS,
      query: queries.leaseFilter,
      answers: pageOf(leaseRecord, "The leases, newest first."),
      handle: ({ request, response, db, query }) => {
        const { limit, after, ...filter } = query();
        return sendList(request, response, db, leasesIn(filter), { limit, after });
      },
    }),
    route({
      name: "listRuns",
      summary: "List the 50 newest tasks",
      method: "get",
      path: "/api/runtime/runs",
      access: READERS,
      query: queries.runsPage,
      answers: pageOf(wholeOrSlim(taskRecord, slimTaskRecord), "The tasks, newest first."),
      handle: async ({ request, response, db, query }) => {
        const { limit = RUNS, after, fields } = query();
        const page = await openPage(db, tasks({}, fields), { limit, after });
        if (page.next && page.rows < limit)
          setNext(request, response, cursorText(page.next), { limit: limit - page.rows });
        await sendPage(response, page);
      },
    }),
    route({
      name: "listAudit",
      summary: "List who did what",
      method: "get",
      path: "/api/runtime/audit",
      access: READERS,
      query: queries.auditFilter,
      answers: pageOf(auditRecord, "The entries, newest first."),
      handle: async ({ request, response, db, query }) => {
        const { limit, after, ...filter } = query();
        await sendList(request, response, db, await auditEntries(db, filter), { limit, after });
      },
    }),
    route({
      name: "getStats",
      summary: "Count tasks, leases and workers",
      method: "get",
      path: "/api/runtime/stats",
      access: READERS,
      answers: { 200: { means: "The counts.", json: statsAnswer } },
      handle: async ({ response }) => response.json(await stats()),
    }),
    route({
      name: "getOverview",
      summary: "Read how the work goes",
      method: "get",
      path: "/api/runtime/overview",
      access: READERS,
      answers: { 200: { means: "How the work goes. Its numbers may be a few seconds old.", json: overviewAnswer } },
      handle: async ({ response }) => {
        const [numbers, attention] = await Promise.all([readNumbers(), readAttention()]);
        response.json({ ...numbers, ...attention });
      },
    }),
    route({
      name: "getUsage",
      summary: "Sum up what attempts used",
      method: "get",
      path: "/api/runtime/usage",
      access: READERS,
      query: queries.usageFilter,
      answers: {
        200: {
          means: "The sums, those with the most tokens first; of days the latest first.",
          json: z.array(usageSum),
        },
      },
      handle: async ({ response, db, query }) => {
        const { by, ...which } = query();
        response.json(await usageBy(db, by, which));
      },
    }),
  ];
}
