import { z } from "zod";
import type { Allowed } from "../callable-addresses.ts";
import { removed } from "../contract/answers.ts";
import { leaseRecord } from "../contract/lease-record.ts";
import * as queries from "../contract/queries.ts";
import { workerView } from "../contract/record-types.ts";
import { workerName } from "../contract/request-fields.ts";
import * as requests from "../contract/requests.ts";
import { workerRecord } from "../contract/worker-record.ts";
import { drainWorker, resumeWorker } from "../fleet/drain-and-resume.ts";
import { restWorker } from "../fleet/start-rest.ts";
import { getWorker, listWorkers, workerNotFound } from "../fleet/workers.ts";
import { activeLeasesOf } from "../queue/leases.ts";
import { registerWorker } from "../queue/register-worker.ts";
import { removeWorker } from "../queue/remove-worker.ts";
import { NO_WORKER, pageOf } from "./answer-declarations.ts";
import { clientAddressOf } from "./client-address.ts";
import { ADMINS, READERS, type Route, route, WORKERS } from "./route.ts";
import { setNext } from "./send-list.ts";

const workerWithLeases = workerRecord.extend({ leases: z.array(leaseRecord).describe("The 1,000 newest at most.") });

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
      summary: "List workers",
      method: "get",
      path: "/api/runtime/workers",
      access: READERS,
      query: queries.workerFilter,
      answers: pageOf(workerRecord, "The workers, by name."),
      handle: async ({ request, response, db, query }) => {
        const { page, isLast } = await listWorkers(db, query());
        const last = page.at(-1);
        if (!isLast && last) setNext(request, response, last.id);
        response.json(page.map(workerView));
      },
    }),
    route({
      name: "getWorker",
      summary: "Read a worker and its leases",
      method: "get",
      path: "/api/runtime/workers/:id",
      access: READERS,
      answers: { 200: { means: "The worker, with the leases that it holds.", json: workerWithLeases }, ...NO_WORKER },
      handle: async ({ response, db, params }) => {
        const worker = await getWorker(db, storableName(params.id));
        response.json({ ...workerView(worker), leases: await activeLeasesOf(db, worker.id) });
      },
    }),
    route({
      name: "registerWorker",
      summary: "Register or update a worker",
      method: "post",
      path: "/api/runtime/workers",
      access: WORKERS,
      limit: "worker calls",
      form: "register",
      schema: requests.registerWorkerBody,
      description: "What is not sent keeps its value where the worker is known.",
      answers: {
        200: { means: "It was known.", json: workerRecord },
        201: { means: "It is new.", json: workerRecord },
      },
      ofWorker: ({ body }) => body().name,
      handle: async ({ request, response, db, caller, body }) => {
        const { worker, isNew } = await registerWorker(db, caller, body(), {
          from: clientAddressOf(request),
          allowed,
        });
        response.status(isNew ? 201 : 200).json(workerView(worker));
      },
    }),
    route({
      name: "removeWorker",
      summary: "Forget a worker",
      method: "delete",
      path: "/api/runtime/workers/:id",
      access: ADMINS,
      description: "What it holds goes back to the queue.",
      answers: { 200: { means: "It is forgotten.", json: removed }, ...NO_WORKER },
      handle: async ({ response, db, caller, params }) => {
        await removeWorker(db, caller, storableName(params.id));
        response.json({ removed: true, id: params.id });
      },
    }),
    route({
      name: "drainWorker",
      summary: "Give a worker no new work",
      method: "post",
      path: "/api/runtime/workers/:id/drain",
      access: ADMINS,
      schema: requests.drainWorkerBody,
      answers: { 200: { means: "The worker. What it holds goes on.", json: workerRecord }, ...NO_WORKER },
      handle: async ({ response, db, caller, params, body }) =>
        response.json(workerView(await drainWorker(db, caller, storableName(params.id), body()))),
    }),
    route({
      name: "restWorker",
      summary: "Say that a worker can do no work for a while",
      method: "post",
      path: "/api/runtime/workers/:id/rest",
      access: WORKERS,
      limit: "worker calls",
      form: "rest",
      schema: requests.restWorkerBody,
      answers: { 200: { means: "The worker.", json: workerRecord }, ...NO_WORKER },
      ofWorker: ({ params }) => storableName(params.id),
      handle: async ({ response, db, caller, params, body }) =>
        response.json(workerView(await restWorker(db, caller, storableName(params.id), body()))),
    }),
    route({
      name: "resumeWorker",
      summary: "End a worker's drain and rest",
      method: "post",
      path: "/api/runtime/workers/:id/resume",
      access: ADMINS,
      answers: { 200: { means: "The worker.", json: workerRecord }, ...NO_WORKER },
      handle: async ({ response, db, caller, params }) =>
        response.json(workerView(await resumeWorker(db, caller, storableName(params.id)))),
    }),
  ];
}
