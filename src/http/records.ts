import { Router } from "express";
import * as queries from "../contract/queries.ts";
import { auditEntries } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { openPage } from "../db/pages.ts";
import { leasesIn } from "../queue/leases.ts";
import { openStats } from "../queue/stats.ts";
import { tasks } from "../queue/tasks.ts";
import { queryOf } from "./input.ts";
import { sendList, sendPage } from "./lists.ts";

const RUNS = 50;

/** `/api/runtime/…`: what was done, to look at. */
export function recordRoutes(db: Db): Router {
  const router = Router();
  const stats = openStats(db);

  router.get("/leases", async (request, response) => {
    const { status, ...page } = queryOf(queries.leaseFilter, request);
    await sendList(request, response, db, leasesIn(status), page);
  });

  router.get("/runs", async (_request, response) => {
    await sendPage(response, await openPage(db, tasks(), { limit: RUNS }));
  });

  router.get("/audit", async (request, response) => {
    await sendList(request, response, db, auditEntries(), queryOf(queries.auditFilter, request));
  });

  router.get("/stats", async (_request, response) => {
    response.json(await stats());
  });

  return router;
}
