import * as queries from "../contract/queries.ts";
import type { Stats } from "../contract/views.ts";
import { auditEntries } from "../db/audit.ts";
import { openPage } from "../db/pages.ts";
import { leasesIn } from "../queue/leases.ts";
import { tasks } from "../queue/tasks.ts";
import { usageBy } from "../queue/usage-sums.ts";
import { cursorText, sendList, sendPage, setNext } from "./lists.ts";
import { READERS, type Route, route } from "./route.ts";

const RUNS = 50;

/** `/api/runtime/…`: what was done, to look at. */
export function recordRoutes(stats: () => Promise<Stats>): Route[] {
  return [
    route({
      name: "listLeases",
      method: "get",
      path: "/api/runtime/leases",
      access: READERS,
      query: queries.leaseFilter,
      handle: ({ request, response, db, query }) => {
        const { status, ...page } = query();
        return sendList(request, response, db, leasesIn(status), page);
      },
    }),
    route({
      name: "listRuns",
      method: "get",
      path: "/api/runtime/runs",
      access: READERS,
      query: queries.runsPage,
      handle: async ({ request, response, db, query }) => {
        const { limit = RUNS, after } = query();
        const page = await openPage(db, tasks(), { limit, after });
        if (page.next && page.rows < limit)
          setNext(request, response, cursorText(page.next), { limit: limit - page.rows });
        await sendPage(response, page);
      },
    }),
    route({
      name: "listAudit",
      method: "get",
      path: "/api/runtime/audit",
      access: READERS,
      query: queries.auditFilter,
      handle: ({ request, response, db, query }) => sendList(request, response, db, auditEntries(), query()),
    }),
    route({
      name: "getStats",
      method: "get",
      path: "/api/runtime/stats",
      access: READERS,
      handle: async ({ response }) => response.json(await stats()),
    }),
    route({
      name: "getUsage",
      method: "get",
      path: "/api/runtime/usage",
      access: READERS,
      query: queries.usageFilter,
      handle: async ({ response, db, query }) => {
        const { by, ...which } = query();
        response.json(await usageBy(db, by, which));
      },
    }),
  ];
}
