import { Router } from "express";
import * as queries from "../contract/queries.ts";
import { listAccounts, resumeAccount } from "../fleet/accounts.ts";
import type { DbFor } from "./callers.ts";
import { queryOf } from "./input.ts";
import { setNext } from "./lists.ts";
import { requireStorableName } from "./workers.ts";

/** `/api/runtime/accounts`: the accounts at LLM providers that the workers use. */
export function accountRoutes(dbFor: DbFor): Router {
  const router = Router();

  router.param("id", requireStorableName);

  router.get("/", async (request, response) => {
    const { limit, after } = queryOf(queries.workerPage, request);
    const page = await listAccounts(dbFor(response), { limit, after });
    const last = page.at(-1);
    if (page.length === limit && last) setNext(request, response, last.id);
    response.json(page);
  });

  router.post("/:id/resume", async (request, response) => {
    response.json(await resumeAccount(dbFor(response), request.params.id));
  });

  return router;
}
