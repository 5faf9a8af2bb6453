import type { ErrorKind } from "../../src/db/statuses.ts";
import type { TestApp } from "./app.ts";

const R = "/api/runtime";
export const metrics = { duration_ms: 1 };

/** What tests of failed attempts ask of the app: to lease, to claim and to fail tasks, and what became of workers and accounts. */
export function failedAttempts(api: TestApp["api"]) {
  const lease = async (task: string, worker_id?: string): Promise<string> =>
    (await api.post(`${R}/llm-tasks/${task}/lease`).send({ worker_id }).expect(201)).body.lease.worker_id;
  const claim = async (worker_id: string, more = {}) => api.post(`${R}/llm-tasks/claim`).send({ worker_id, ...more });
  return {
    lease,
    claim,
    claimed: async (worker: string, more = {}) => (await claim(worker, more)).body.tasks?.length ?? 0,
    /** An attempt at the task that fails with this kind; gives the task after it. */
    fails: async (task: string, worker: string, error_kind: ErrorKind, more = {}) => {
      await lease(task, worker);
      const body = { status: "error", error_message: `It was ${error_kind}.`, error_kind, metrics, ...more };
      return (await api.post(`${R}/llm-tasks/${task}/complete`).send(body).expect(200)).body.task;
    },
    workerOf: async (id: string) => (await api.get(`${R}/workers/${id}`).expect(200)).body,
    accountOf: async (id: string) =>
      (await api.get(`${R}/accounts`).expect(200)).body.find((account: { id: string }) => account.id === id),
  };
}
