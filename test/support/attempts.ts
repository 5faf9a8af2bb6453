/** Attempts at tasks, made over HTTP. */
import { beforeEach } from "vitest";
import type { ErrorKind } from "../../src/db/kinds.ts";
import { startApp, type TestApp } from "./app.ts";
import { actionsOf } from "./audit.ts";
import { createTestDatabase } from "./database.ts";

const R = "/api/runtime";
export const metrics = { duration_ms: 1 };

/** Leases the task, to the worker if one is named; gives the name of the worker that has it. */
const lease = async (api: TestApp["api"], task: string, worker_id?: string): Promise<string> =>
  (await api.post(`${R}/llm-tasks/${task}/lease`).send({ worker_id }).expect(201)).body.lease.worker_id;

/** The worker takes the task and completes it with this body; gives the task after that. */
export async function attempt(api: TestApp["api"], task: string, worker: string, body: object) {
  await lease(api, task, worker);
  const completed = await api
    .post(`${R}/llm-tasks/${task}/complete`)
    .send({ metrics, ...body })
    .expect(200);
  return completed.body.task;
}

/** A service whose workers, accounts and tasks are gone before each test, and what tests of failed attempts ask of it. */
export async function serviceForAttempts() {
  const { db, query } = await createTestDatabase();
  const { api } = await startApp(db);
  beforeEach(() => query("truncate workers, runtime_accounts, llm_tasks, leases, llm_results, audit_logs"));
  const claim = async (worker_id: string, more = {}) => api.post(`${R}/llm-tasks/claim`).send({ worker_id, ...more });
  return {
    db,
    query,
    api,
    claim,
    lease: (task: string, worker?: string) => lease(api, task, worker),
    claimed: async (worker: string, more = {}) => (await claim(worker, more)).body.tasks?.length ?? 0,
    /** An attempt at the task that fails with this kind; gives the task after it. */
    fails: (task: string, worker: string, error_kind: ErrorKind, more = {}) =>
      attempt(api, task, worker, { status: "error", error_message: `It was ${error_kind}.`, error_kind, ...more }),
    workerOf: async (id: string) => (await api.get(`${R}/workers/${id}`).expect(200)).body,
    accountOf: async (id: string) =>
      (await api.get(`${R}/accounts`).expect(200)).body.find((account: { id: string }) => account.id === id),
    /** What was written down about the worker or the account, oldest first. */
    audited: (id: string) => actionsOf(query, id),
  };
}
