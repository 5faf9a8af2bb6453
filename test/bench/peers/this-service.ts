import buildPrograms from "../../support/compiled-programs.ts";
import { API_KEY, connect, type Work } from "../load.ts";
import type { BenchPostgres } from "../postgres.ts";
import { startService } from "../service.ts";
import { claimedIn, completion, newTask } from "../work.ts";
import type { Side } from "./side.ts";

const R = "/api/runtime";
const nameOf = (client: number) => `peer-${client}`;

/** create, claim, complete. The client is a worker of its own. */
const work: Work = async (caller, client, n) => {
  await caller.call("create", "POST", `${R}/llm-tasks`, newTask(n));
  const claimed = claimedIn(await caller.call("claim", "POST", `${R}/llm-tasks/claim`, { worker_id: nameOf(client) }));
  for (const { task, lease } of claimed)
    await caller.call("complete", "POST", `${R}/llm-tasks/${task.id}/complete`, { ...completion, lease_id: lease.id });
  return claimed.length;
};

/** Builds and starts this service, as `npm start` runs it, with a registered worker for each of at most `clients` clients. */
export async function openThisService(postgres: BenchPostgres, clients: number): Promise<Side> {
  await buildPrograms();
  const database = await postgres.makeDatabase("peers");
  const { base, pid } = await startService(postgres, database);
  const caller = connect(base, API_KEY, new Map());
  for (let client = 0; client < clients; client++)
    await caller.call("register", "POST", `${R}/workers`, {
      name: nameOf(client),
      capabilities: { max_concurrency: 32 },
    });
  await caller.close();
  return {
    base,
    pid,
    database,
    title: `This service, Node.js ${process.version}`,
    work,
    completed: "select count(*)::int as n from llm_tasks where status = 'completed'",
  };
}
