import { afterAll, expect, it } from "vitest";
import type { AuditEntry, Task, WorkerWithLoad } from "../src/contract/record-types.ts";
import { ADMIN_KEY } from "./support/app.ts";
import { createTestDatabase } from "./support/database.ts";
import { eventually } from "./support/eventually.ts";
import { type NodeAgent, startNodeAgent } from "./support/node-agent.ts";
import { anAgent, aProject, secondsAgo, startMembridge } from "./support/scripted-membridge.ts";
import { startProcess } from "./support/service-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const API_KEY = "the key of the runtime's clients";
const { url: DATABASE_URL } = await createTestDatabase();
const DATA_DIR = await temporaryFolder("bloom-end-to-end-");

/** A client of the service at `url`, as the frontend is one behind its proxy. Throws on any status but 2xx. */
function clientOf(url: string) {
  return async <Answer>(path: string, body?: object): Promise<Answer> => {
    const response = await fetch(`${url}/api${path}`, {
      method: body ? "POST" : "GET",
      headers: { "content-type": "application/json", "x-runtime-api-key": API_KEY },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
}

async function execute(agent: NodeAgent, task: Task, runtime_url: string) {
  const body = JSON.stringify({ task_id: task.id, prompt: task.prompt, runtime_url });
  const response = await fetch(`${agent.url}/execute-task`, { method: "POST", body });
  return response.json();
}

it("Membridge, a node agent and the runtime bring two tasks to their end, one of them across a crash", async () => {
  const control = await startMembridge();
  afterAll(control.close);
  control.agents = [anAgent("alpine", { last_seen: secondsAgo(1) }), anAgent("never-seen")];
  control.projects = [aProject("garden-seedling", "aeeafec3a5b5710f")];
  const env = {
    DATABASE_URL,
    DATA_DIR,
    RUNTIME_API_KEY: API_KEY,
    MEMBRIDGE_SERVER_URL: control.url,
    MEMBRIDGE_ADMIN_KEY: ADMIN_KEY,
    WORKER_SYNC_INTERVAL_MS: "100",
    LOG_LEVEL: "trace",
  };
  const first = await startProcess(env);
  const call = clientOf(first.url);
  const rpi = await startNodeAgent({
    runtime: first.url,
    name: "rpi",
    apiKey: API_KEY,
    cli: ({ prompt }) => `Answer to: ${prompt}`,
  });
  afterAll(rpi.close);

  await eventually(async () => {
    const workers = await call<WorkerWithLoad[]>("/runtime/workers");
    const statuses = Object.fromEntries(workers.map(({ id, status }) => [id, status]));
    expect(statuses).toEqual({ alpine: "online", "never-seen": "unknown", rpi: "online" });
  });
  expect(await call("/membridge/projects")).toEqual(control.projects);

  const create = (prompt: string) =>
    call<Task>("/runtime/llm-tasks", { context_id: "garden", agent_slug: "writer", prompt });
  const [one, two] = [await create("one?"), await create("two?")];
  // rpi registered with room for two, alpine has room for one.
  const grants = [
    await call(`/runtime/llm-tasks/${one.id}/lease`, {}),
    await call(`/runtime/llm-tasks/${two.id}/lease`, {}),
  ];
  expect(grants).toMatchObject([{ worker: { id: "rpi" } }, { worker: { id: "rpi" } }]);

  expect(await execute(rpi, one, first.url)).toMatchObject({ ok: true });
  expect(await call(`/runtime/llm-tasks/${one.id}`)).toMatchObject({ status: "completed", attempts: 1 });

  // The second lease outlives the process that gave it, and Membridge's absence.
  await first.stop("SIGKILL");
  await control.close();
  const second = await startProcess(env);
  const callAgain = clientOf(second.url);
  expect(await execute(rpi, two, second.url)).toMatchObject({ ok: true });
  expect(rpi.answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 200]);
  expect(await callAgain(`/runtime/artifacts?task_id=${two.id}`)).toMatchObject([
    { type: "LLM_RESULT", finalized: true, content: "Answer to: two?" },
  ]);
  expect(await callAgain("/runtime/stats")).toEqual({
    as_of: expect.any(Number),
    tasks: { total: 2, by_status: { completed: 2 } },
    leases: { total: 2, active: 0 },
    workers: { total: 3, online: 2 },
  });
  const story = (await callAgain<AuditEntry[]>("/runtime/audit"))
    .filter(({ detail, entity_id }) => `${detail} ${entity_id}`.includes(two.id))
    .map(({ action, actor }) => `${action} by ${actor}`);
  expect(story.reverse()).toEqual(["task_created by api", "task_leased by router", "task_completed by rpi"]);

  expect(await second.stop()).toBe(0);
  for (const secret of [ADMIN_KEY, API_KEY]) expect(first.output() + second.output()).not.toContain(secret);
});

it("with AUTO_DISPATCH alone, a created task is executed by an agent and its result is there, with no other call", async () => {
  const { url } = await createTestDatabase();
  const service = await startProcess({
    DATABASE_URL: url,
    DATA_DIR,
    AUTO_DISPATCH: "true",
    MEMBRIDGE_SERVER_URL: "http://127.0.0.1:9",
  });
  const call = clientOf(service.url);
  const agent = await startNodeAgent({
    runtime: service.url,
    name: "rpi",
    cli: ({ prompt }) => `Answer to: ${prompt}`,
  });
  afterAll(agent.close);
  const { id } = await call<Task>("/runtime/llm-tasks", { context_id: "garden", agent_slug: "writer", prompt: "why?" });
  await eventually(async () =>
    expect(await call(`/runtime/llm-tasks/${id}/results`)).toMatchObject([{ output: "Answer to: why?" }]),
  );
  expect(await service.stop()).toBe(0);
});
