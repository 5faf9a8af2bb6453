/** What the clients of the benchmark do. */
import type { Caller, Work } from "./load.ts";

const R = "/api/runtime";
/** Enough that no router's choice is a bottleneck of its own, as many as a small team has. */
export const WORKERS = 24;
const MAX_CONCURRENCY = 32;
export const CONTEXTS = 1_000;

export const workerName = (n: number) => `bench-${n % WORKERS}`;
const PROMPT = "Write a haiku about seeds that sleep under the snow until spring wakes them. ".repeat(4);
const OUTPUT = "A seed holds its breath / under the white quiet fields / and dreams of the sun. ".repeat(8);

export const newTask = (n: number) => ({
  context_id: `context-${n % CONTEXTS}`,
  agent_slug: "writer",
  prompt: PROMPT,
});

/** Registers the workers, so that the router has some to choose from. */
export async function register(caller: Caller): Promise<void> {
  for (let n = 0; n < WORKERS; n++)
    await caller.call("register", "POST", `${R}/workers`, {
      name: workerName(n),
      capabilities: { max_concurrency: MAX_CONCURRENCY },
    });
}

/** What a worker tells of a task that it has done. */
export const completion = { status: "success", output: OUTPUT, metrics: { duration_ms: 1200 } };

/** create, lease by the router, heartbeat, complete. */
export const lifecycle: Work = async (caller, _client, n) => {
  const { id }: { id: string } = JSON.parse(await caller.call("create", "POST", `${R}/llm-tasks`, newTask(n)));
  const { lease }: { lease: { id: string } } = JSON.parse(
    await caller.call("lease", "POST", `${R}/llm-tasks/${id}/lease`, {}),
  );
  await caller.call("heartbeat", "POST", `${R}/llm-tasks/${id}/heartbeat`, { lease_id: lease.id });
  await caller.call("complete", "POST", `${R}/llm-tasks/${id}/complete`, { ...completion, lease_id: lease.id });
  return 1;
};

/** The tasks of a claim; of one that got none, the answer is empty. */
export function claimedIn(text: string): { task: { id: string }; lease: { id: string } }[] {
  return text === "" ? [] : JSON.parse(text).tasks;
}

/** Creates `count` tasks in one call. */
export const creating =
  (count: number): Work =>
  async (caller, _client, n) => {
    const tasks = Array.from({ length: count }, (_, k) => newTask(n + k));
    await caller.call(`create ${count}`, "POST", `${R}/llm-tasks/bulk`, { tasks });
    return count;
  };

/** Creates 32 tasks, claims 32 at once, and completes them. */
export const claimingMany: Work = async (caller, client, n) => {
  for (let k = 0; k < MAX_CONCURRENCY; k++) await caller.call("create", "POST", `${R}/llm-tasks`, newTask(n + k));
  const request = { worker_id: workerName(client), max_tasks: MAX_CONCURRENCY };
  const claimed = claimedIn(await caller.call("claim of 32", "POST", `${R}/llm-tasks/claim`, request));
  for (const { task, lease } of claimed)
    await caller.call("complete", "POST", `${R}/llm-tasks/${task.id}/complete`, { ...completion, lease_id: lease.id });
  return claimed.length;
};

/** Claims one task, and completes it. */
export const claimingOne: Work = async (caller, client, n) => {
  await caller.call("create", "POST", `${R}/llm-tasks`, newTask(n));
  const request = { worker_id: workerName(client) };
  const claimed = claimedIn(await caller.call("claim", "POST", `${R}/llm-tasks/claim`, request));
  for (const { task, lease } of claimed)
    await caller.call("complete", "POST", `${R}/llm-tasks/${task.id}/complete`, { ...completion, lease_id: lease.id });
  return claimed.length;
};

/** Every read once, of the whole and of one task. */
export function reading({ completed, queued }: { completed: string; queued: string }): Work {
  const reads = {
    tasks: "/llm-tasks",
    "tasks queued": "/llm-tasks?status=queued",
    "tasks completed": "/llm-tasks?status=completed",
    "tasks failed": "/llm-tasks?status=failed",
    "one task": `/llm-tasks/${completed}`,
    explain: `/llm-tasks/${queued}/explain`,
    results: `/llm-tasks/${completed}/results`,
    history: `/llm-tasks/${completed}/history`,
    leases: "/leases",
    "leases active": "/leases?status=active",
    "leases expired": "/leases?status=expired",
    runs: "/runs",
    artifacts: "/artifacts",
    "artifacts of a task": `/artifacts?task_id=${completed}`,
    audit: "/audit",
    "audit of 1000": "/audit?limit=1000",
    workers: "/workers",
    stats: "/stats",
    health: "/health",
  };
  return async (caller) => {
    for (const [name, path] of Object.entries(reads)) await caller.call(name, "GET", R + path);
    return 1;
  };
}
