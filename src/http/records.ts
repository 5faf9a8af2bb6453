import { Router } from "express";
import * as requests from "../contract/requests.ts";
import { listAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { listLeases } from "../queue/leases.ts";
import { stats } from "../queue/stats.ts";
import { newestTasks } from "../queue/tasks.ts";
import { queryOf } from "./input.ts";

const RUNS = 50;
const AUDIT_ENTRIES = 100;

/** `/api/runtime/…`: what was done, to look at. */
export function recordRoutes(db: Db): Router {
  const router = Router();

  router.get("/leases", async (request, response) => {
    response.json(await listLeases(db, queryOf(requests.leaseFilter, request).status));
  });

  router.get("/runs", async (_request, response) => {
    response.json(await newestTasks(db, RUNS));
  });

  router.get("/audit", async (request, response) => {
    response.json(await listAudit(db, queryOf(requests.auditFilter, request).limit ?? AUDIT_ENTRIES));
  });

  router.get("/stats", async (_request, response) => {
    response.json(await stats(db));
  });

  return router;
}
