import type { Db } from "../../src/db/client.ts";
import type { TestApp } from "./app.ts";
import { aLeasedTask } from "./factories.ts";

const TASKS = "/api/runtime/llm-tasks";

/** Tasks that a worker holds, and the calls by which it hands in what Claude's CLI printed for them. */
export function claudeCompletions(db: Db, api: TestApp["api"]) {
  return {
    held: async (task: object = {}) => {
      const leased = await aLeasedTask(db, { task });
      return { id: leased.task.id, lease_id: leased.lease.id, worker: leased.worker.id };
    },
    complete: (id: string, body: object) =>
      api.post(`${TASKS}/${id}/complete`).send({ cli: "claude", metrics: { duration_ms: 5 }, ...body }),
    /** Uploads an output, and gives its id. */
    upload: async (id: string, lease_id: string, bytes: Buffer): Promise<string> => {
      const answer = await api
        .put(`${TASKS}/${id}/output`)
        .set({ "x-lease-id": lease_id, "content-type": "application/octet-stream" })
        .send(bytes)
        .expect(201);
      return answer.body.output_id;
    },
  };
}
