import { type RequestParamHandler, Router } from "express";
import type { Allowed } from "../addresses.ts";
import { workerName } from "../contract/fields.ts";
import * as queries from "../contract/queries.ts";
import * as requests from "../contract/requests.ts";
import { workerView } from "../contract/views.ts";
import { drainWorker, resumeWorker } from "../fleet/drain.ts";
import { restWorker } from "../fleet/rest-worker.ts";
import { getWorker, listWorkers, workerNotFound } from "../fleet/workers.ts";
import { activeLeasesOf } from "../queue/leases.ts";
import { registerWorker } from "../queue/register-worker.ts";
import { removeWorker } from "../queue/remove-worker.ts";
import type { DbFor } from "./callers.ts";
import { clientAddressOf } from "./client-address.ts";
import { bodyOf, queryOf } from "./input.ts";
import { setNext } from "./lists.ts";
import { requireOwnWorker } from "./own-work.ts";

/** No worker has a name that cannot be stored. NotFound. */
export const requireStorableName: RequestParamHandler = (_request, _response, next, id) =>
  next(workerName.safeParse(id).success ? undefined : workerNotFound());

/** `/api/runtime/workers`: who can work. */
export function workerRoutes(dbFor: DbFor, allowed: Allowed | undefined): Router {
  const router = Router();

  router.param("id", requireStorableName);

  router.get("/", async (request, response) => {
    const { limit, after } = queryOf(queries.workerPage, request);
    const { page, isLast } = await listWorkers(dbFor(response), { limit, after });
    const last = page.at(-1);
    if (!isLast && last) setNext(request, response, last.id);
    response.json(page.map(workerView));
  });

  router.get("/:id", async (request, response) => {
    const db = dbFor(response);
    const worker = await getWorker(db, request.params.id);
    response.json({ ...workerView(worker), leases: await activeLeasesOf(db, worker.id) });
  });

  router.post("/", async (request, response) => {
    const registration = bodyOf(requests.registerWorker, request);
    const db = dbFor(response);
    requireOwnWorker(db, registration.name);
    const { worker, isNew } = await registerWorker(db, registration, { from: clientAddressOf(request), allowed });
    response.status(isNew ? 201 : 200).json(workerView(worker));
  });

  router.delete("/:id", async (request, response) => {
    const { id } = request.params;
    await removeWorker(dbFor(response), id);
    response.json({ removed: true, id });
  });

  router.post("/:id/drain", async (request, response) => {
    const worker = await drainWorker(dbFor(response), request.params.id, bodyOf(requests.drainWorker, request));
    response.json(workerView(worker));
  });

  router.post("/:id/rest", async (request, response) => {
    const db = dbFor(response);
    requireOwnWorker(db, request.params.id);
    response.json(workerView(await restWorker(db, request.params.id, bodyOf(requests.restWorker, request))));
  });

  router.post("/:id/resume", async (request, response) => {
    response.json(workerView(await resumeWorker(dbFor(response), request.params.id)));
  });

  return router;
}
