import { Router } from "express";
import * as queries from "../contract/queries.ts";
import { auditEntries } from "../db/audit.ts";
import { openPage } from "../db/pages.ts";
import { leasesIn } from "../queue/leases.ts";
import type { Stats } from "../queue/stats.ts";
import { tasks } from "../queue/tasks.ts";
import type { DbFor } from "./callers.ts";
import { queryOf } from "./input.ts";
import { cursorText, sendList, sendPage, setNext } from "./lists.ts";

const RUNS = 50;

/** `/api/runtime/…`: what was done, to look at. */
export function recordRoutes(dbFor: DbFor, stats: () => Promise<Stats>): Router {
  const router = Router();

  router.get("/leases", async (request, response) => {
    const { status, ...page } = queryOf(queries.leaseFilter, request);
    await sendList(request, response, dbFor(response), leasesIn(status), page);
  });

  router.get("/runs", async (request, response) => {
    const { limit = RUNS, after } = queryOf(queries.runsPage, request);
    const page = await openPage(dbFor(response), tasks(), { limit, after });
    if (page.next && page.rows < limit) setNext(request, response, cursorText(page.next), { limit: limit - page.rows });
    await sendPage(response, page);
  });

  router.get("/audit", async (request, response) => {
    await sendList(request, response, dbFor(response), auditEntries(), queryOf(queries.auditFilter, request));
  });

  router.get("/stats", async (_request, response) => {
    response.json(await stats());
  });

  return router;
}
