import { Router } from "express";
import * as queries from "../contract/queries.ts";
import { usageBy } from "../queue/usage-sums.ts";
import type { DbFor } from "./callers.ts";
import { queryOf } from "./input.ts";

/** `GET /api/runtime/usage`: what attempts used, summed up by one of their properties. */
export function usageRoutes(dbFor: DbFor): Router {
  const router = Router();

  router.get("/usage", async (request, response) => {
    const { by, ...which } = queryOf(queries.usageFilter, request);
    response.json(await usageBy(dbFor(response), by, which));
  });

  return router;
}
