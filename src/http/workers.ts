import type { Allowed } from "../addresses.ts";
import { workerName } from "../contract/fields.ts";
import * as queries from "../contract/queries.ts";
import * as requests from "../contract/requests.ts";
import { workerView } from "../contract/views.ts";
import { drainWorker, resumeWorker } from "../fleet/drain.ts";
import { restWorker } from "../fleet/start-rest.ts";
import { getWorker, listWorkers, workerNotFound } from "../fleet/workers.ts";
import { activeLeasesOf } from "../queue/leases.ts";
import { registerWorker } from "../queue/register-worker.ts";
import { removeWorker } from "../queue/remove-worker.ts";
import { clientAddressOf } from "./client-address.ts";
import { setNext } from "./lists.ts";
import { requireOwnWorker } from "./own-work.ts";
import { ADMINS, READERS, type Route, route, WORKERS } from "./route.ts";

/** Gives the name back. NotFound: the name cannot be stored, so no worker has it. */
export function storableName(id: string): string {
  if (!workerName.safeParse(id).success) throw workerNotFound();
  return id;
}

/** `/api/runtime/workers`: who can work. Registrations give addresses within `allowed` only, where the key is a worker's. */
export function workerRoutes(allowed: Allowed | undefined): Route[] {
  return [
    route({
      name: "listWorkers",
      method: "get",
      path: "/api/runtime/workers",
      access: READERS,
      query: queries.workerPage,
      handle: async ({ request, response, db, query }) => {
        const { page, isLast } = await listWorkers(db, query());
        const last = page.at(-1);
        if (!isLast && last) setNext(request, response, last.id);
        response.json(page.map(workerView));
      },
    }),
    route({
      name: "getWorker",
      method: "get",
      path: "/api/runtime/workers/:id",
      access: READERS,
      handle: async ({ response, db, params }) => {
        const worker = await getWorker(db, storableName(params.id));
        response.json({ ...workerView(worker), leases: await activeLeasesOf(db, worker.id) });
      },
    }),
    route({
      name: "registerWorker",
      method: "post",
      path: "/api/runtime/workers",
      access: WORKERS,
      limit: "worker calls",
      plain: "register",
      schema: requests.registerWorker,
      handle: async ({ request, response, db, caller, body }) => {
        const registration = body();
        requireOwnWorker(caller, registration.name);
        const { worker, isNew } = await registerWorker(db, caller, registration, {
          from: clientAddressOf(request),
          allowed,
        });
        response.status(isNew ? 201 : 200).json(workerView(worker));
      },
    }),
    route({
      name: "removeWorker",
      method: "delete",
      path: "/api/runtime/workers/:id",
      access: ADMINS,
      handle: async ({ response, db, caller, params }) => {
        await removeWorker(db, caller, storableName(params.id));
        response.json({ removed: true, id: params.id });
      },
    }),
    route({
      name: "drainWorker",
      method: "post",
      path: "/api/runtime/workers/:id/drain",
      access: ADMINS,
      schema: requests.drainWorker,
      handle: async ({ response, db, caller, params, body }) =>
        response.json(workerView(await drainWorker(db, caller, storableName(params.id), body()))),
    }),
    route({
      name: "restWorker",
      method: "post",
      path: "/api/runtime/workers/:id/rest",
      access: WORKERS,
      limit: "worker calls",
      plain: "rest",
      schema: requests.restWorker,
      handle: async ({ response, db, caller, params, body }) => {
        requireOwnWorker(caller, storableName(params.id));
        response.json(workerView(await restWorker(db, caller, params.id, body())));
      },
    }),
    route({
      name: "resumeWorker",
      method: "post",
      path: "/api/runtime/workers/:id/resume",
      access: ADMINS,
      handle: async ({ response, db, caller, params }) =>
        response.json(workerView(await resumeWorker(db, caller, storableName(params.id)))),
    }),
  ];
}
