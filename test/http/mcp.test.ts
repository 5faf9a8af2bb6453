import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, describe, expect, it } from "vitest";
import { createKey, revokeKey } from "../../src/saved-config/named-keys.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { MAIN_KEY } from "../support/keys.ts";

const { db, query } = await createTestDatabase();
const PAGES = "https://pages.example";
const { api, url, logged, resultWaiters } = await startApp(db, {
  env: { RUNTIME_API_KEY: MAIN_KEY, WRONG_KEY_LIMIT_PER_MINUTE: "0", CORS_ORIGINS: PAGES },
});
const reader = await createKey(db, undefined, "reader", "read");
const submitter = await createKey(db, undefined, "submitter", "submit");
const worker = await createKey(db, undefined, "worker", "work");

/** The official client with this key. It speaks the newest protocol where it may ask for it, and the one of 2025 otherwise. */
async function connect(key: string, mode: "auto" | "legacy" = "auto"): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const headers = { "X-Runtime-API-Key": key };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }));
  afterAll(() => client.close());
  return client;
}

interface Used {
  isError?: boolean;
  content: { type: string; text: string }[];
  structuredContent: Record<string, unknown>;
}

const use = async (client: Client, name: string, args: Record<string, unknown> = {}, options = {}) =>
  (await client.callTool({ name, arguments: args }, options)) as unknown as Used;
const errorOf = ({ isError, content }: Used) => isError && content[0]?.text;
const complete = (id: string, output: string) =>
  api
    .post(`/api/runtime/llm-tasks/${id}/complete`)
    .set("X-Runtime-API-Key", MAIN_KEY)
    .send({ status: "success", output, metrics: { duration_ms: 5 } })
    .expect(200);
const read = async (path: string) => (await api.get(path).set("X-Runtime-API-Key", MAIN_KEY).expect(200)).body;
const A_TASK = { context_id: "from-a-tool", agent_slug: "writer", prompt: "Write a haiku." };

const admin = await connect(MAIN_KEY);

describe.each(["auto", "legacy"] as const)("the official client (%s)", (mode) => {
  it("finds the tools, with their arguments as their calls take them", async () => {
    const client = await connect(MAIN_KEY, mode);
    expect(client.getServerVersion()).toMatchObject({ name: "bloom-runtime" });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      "create_task",
      "wait_for_task",
      "get_task",
      "list_tasks",
      "explain_task",
      "cancel_task",
      "list_workers",
      "list_accounts",
    ]);
    const byName = Object.fromEntries(tools.map((tool) => [tool.name, tool]));
    expect(byName.create_task?.inputSchema.required).toEqual(["context_id", "agent_slug", "prompt"]);
    expect(byName.create_task?.inputSchema.properties).toMatchObject({
      max_attempts: { type: "integer", minimum: 1, maximum: 10, default: 3 },
    });
    expect(byName.wait_for_task?.inputSchema).toMatchObject({
      required: ["id"],
      properties: { id: { type: "string" }, wait_seconds: { type: "number", maximum: 600, default: 25 } },
    });
    expect(byName.cancel_task?.inputSchema).toMatchObject({ required: ["id"], properties: { reason: {} } });
    expect(Object.keys(byName.list_tasks?.inputSchema.properties ?? {})).not.toContain("fields");
    const changing = tools.filter(({ annotations }) => !annotations?.readOnlyHint).map(({ name }) => name);
    expect(changing).toEqual(["create_task", "cancel_task"]);
    expect(byName.cancel_task?.annotations).toMatchObject({ destructiveHint: true, openWorldHint: false });
  });

  it("creates a task and hears of its end while it waits, and of the progress before", async () => {
    const client = await connect(submitter, mode);
    const { structuredContent: task } = await use(client, "create_task", { ...A_TASK, priority: 7 });
    const id = String(task.id);
    expect(task).toEqual(await read(`/api/runtime/llm-tasks/${id}`));
    expect(task).toMatchObject({ status: "queued", priority: 7 });
    const { id: name } = await aWorker(db);
    await api
      .post(`/api/runtime/llm-tasks/${id}/lease`)
      .set("X-Runtime-API-Key", MAIN_KEY)
      .send({ worker_id: name })
      .expect(201);
    const messages: string[] = [];
    const heard = new Promise<void>((resolve) => {
      const onprogress = ({ message = "" }: { message?: string }) => {
        messages.push(message);
        resolve();
      };
      void waiting.push(use(client, "wait_for_task", { id, wait_seconds: 600 }, { onprogress, timeout: 100_000 }));
    });
    await heard;
    await complete(id, "the end");
    const { structuredContent, content } = await (waiting.pop() as Promise<Used>);
    expect(structuredContent).toEqual(await read(`/api/runtime/llm-tasks/${id}/result`));
    expect(structuredContent).toMatchObject({ task: { status: "completed" }, result: { output: "the end" } });
    expect(JSON.parse(content[0]?.text ?? "")).toEqual(structuredContent);
    expect(messages[0]).toBe(`The task is leased by ${name}, attempt 1 of 3.`);
    expect(resultWaiters.size()).toBe(0);
  });
});
const waiting: Promise<Used>[] = [];

describe("each tool answers the record that its call does", () => {
  it("get_task, explain_task, list_workers, list_accounts", async () => {
    const { task, worker } = await aLeasedTask(db, { worker: { account: "the-account" } });
    const answer = async (name: string, args = {}) => (await use(admin, name, args)).structuredContent;
    expect(await answer("get_task", { id: task.id })).toEqual(await read(`/api/runtime/llm-tasks/${task.id}`));
    expect(await answer("explain_task", { id: task.id })).toMatchObject({ status: "leased" });
    const { workers } = (await answer("list_workers", { q: worker.id })) as { workers: unknown[] };
    expect(workers).toEqual(await read(`/api/runtime/workers?q=${worker.id}`));
    expect(workers).toHaveLength(1);
    expect(await answer("list_accounts")).toMatchObject({ accounts: expect.arrayContaining([]), next: null });
  });

  it("list_tasks page by page, by filters that may be lists or numbers", async () => {
    const context_id = "three-of-a-kind";
    for (const n of [1, 2, 3]) await aTask(db, { context_id, prompt: `The prompt ${n}.` });
    const args = { context_id, status: ["queued", "dead"], limit: 2, created_after: 0 };
    const first = (await use(admin, "list_tasks", args)).structuredContent;
    const second = (await use(admin, "list_tasks", { ...args, after: first.next })).structuredContent;
    expect([first.tasks, second.tasks]).toMatchObject([{ length: 2 }, { length: 1 }]);
    expect([typeof first.next, second.next]).toEqual(["string", null]);
    expect(first.tasks).toEqual(await read(`/api/runtime/llm-tasks?context_id=${context_id}&limit=2&fields=slim`));
  });

  it("cancel_task, as the named key", async () => {
    const key = await createKey(db, undefined, "the-operator", "admin");
    const { id } = await aTask(db);
    const cancelled = await use(await connect(key), "cancel_task", { id, reason: "not needed" });
    expect(cancelled.structuredContent).toMatchObject({ id, status: "cancelled" });
    const asked = "select actor from audit_logs where entity_id = $1 and action = 'task_cancelled'";
    expect(await query(asked, [id])).toEqual([{ actor: "the-operator" }]);
  });

  it("cuts a long output, and says where the whole is", async () => {
    const { task } = await aLeasedTask(db);
    await complete(task.id, "x".repeat(50_000));
    const { structuredContent } = await use(admin, "wait_for_task", { id: task.id });
    const { output } = structuredContent.result as { output: string };
    expect(output.length).toBeLessThan(20_200);
    expect(output).toMatch(
      new RegExp(
        `xx\n\\[20000 of 50000 characters\\. The whole is at GET /api/runtime/llm-tasks/${task.id}/result\\]$`,
      ),
    );
  });
});

describe("what is refused", () => {
  it("is said in the service's sentences", async () => {
    const said = async (name: string, args: object) => errorOf(await use(admin, name, { ...args }));
    expect(await said("create_task", { ...A_TASK, prompt: "" })).toMatch(/^The arguments are not valid\.\nprompt: /);
    for (const given of [{}, { id: "\ud800" }]) expect(await said("get_task", given)).toBe("id is needed, as a text.");
    expect(await said("get_task", { id: "x" })).toBe("Task not found");
    expect(await said("list_tasks", { colour: "red" })).toMatch(/colour: there is no such parameter here, only limit/);
    expect(await said("wait_for_task", { id: "x", wait_seconds: 601 })).toBe(
      "wait_seconds must be a number from 0 to 600.",
    );
    const { content } = await use(admin, "create_task", { ...A_TASK, colour: "red" });
    expect(content[1]?.text).toBe("These fields were ignored, since a task has none of that name: colour");
  });

  it("is an unknown tool, by the protocol's own error", async () => {
    await expect(use(admin, "delete_everything")).rejects.toThrow(
      'There is no tool "delete_everything"; there are: create_task, wait_for_task',
    );
  });

  it("depends on the key's role, tool by tool", async () => {
    const client = await connect(reader);
    const { id } = await aTask(db);
    expect((await use(client, "get_task", { id })).structuredContent).toMatchObject({ id });
    expect(errorOf(await use(client, "create_task", A_TASK))).toBe(
      'A key with the role "read" may not do this; one with the role "submit" or "admin" may.',
    );
    expect(errorOf(await use(await connect(submitter), "cancel_task", { id }))).toMatch(
      /^A key with the role "submit"/,
    );
  });

  it("a wrong key, none, and one that no tool takes never reach a tool", async () => {
    await expect(connect("a wrong key")).rejects.toThrow();
    await expect(connect(worker)).rejects.toThrow();
    await api.post("/mcp").send({ jsonrpc: "2.0", id: 1, method: "tools/list" }).expect(401);
  });

  it("ends a wait when its key is revoked", async () => {
    const key = await createKey(db, undefined, "short-lived", "read");
    const client = await connect(key);
    const { id } = await aTask(db);
    const waits = use(client, "wait_for_task", { id, wait_seconds: 600 });
    await expect.poll(() => resultWaiters.size()).toBe(1);
    await revokeKey(db, undefined, "short-lived");
    expect(errorOf(await waits)).toMatch(/^Unauthorized: The key .* is not valid, or has been revoked\.$/);
  });

  it("a page of a stranger's, a list of messages, and a stream without a request", async () => {
    const post = (body: unknown, headers: Record<string, string> = {}) =>
      api
        .post("/mcp")
        .set({ "X-Runtime-API-Key": MAIN_KEY, Accept: "application/json, text/event-stream", ...headers })
        .send(body as object);
    const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
    const evil = await post(ping, { Origin: "http://evil.example", Host: "evil.example" });
    expect([evil.status, evil.body.error]).toEqual([403, expect.stringContaining("CORS_ORIGINS")]);
    expect((await post(ping, { Origin: PAGES })).status).toBe(200);
    expect((await post([ping, ping])).body.error).toBe("The body must be one message, not a list of them.");
    const stream = await api.get("/mcp").set({ "X-Runtime-API-Key": MAIN_KEY, Accept: "text/event-stream" });
    expect([stream.status, stream.headers.allow]).toEqual([405, "POST"]);
  });
});

it("a client that goes away ends its wait", async () => {
  const client = await connect(MAIN_KEY);
  const { id } = await aTask(db);
  const gone = new AbortController();
  const waits = use(client, "wait_for_task", { id, wait_seconds: 600 }, { signal: gone.signal });
  waits.catch(() => {});
  await expect.poll(() => resultWaiters.size()).toBe(1);
  gone.abort();
  await expect(waits).rejects.toThrow();
  await expect.poll(() => resultWaiters.size()).toBe(0);
});

it("two clients wait at once, each for its own task", async () => {
  const clients = await Promise.all([connect(reader), connect(submitter, "legacy")]);
  const tasks = await Promise.all([aLeasedTask(db), aLeasedTask(db)]);
  const waits = clients.map((client, at) => use(client, "wait_for_task", { id: tasks[at]?.task.id }));
  await expect.poll(() => resultWaiters.size()).toBe(2);
  for (const { task } of tasks) await complete(task.id, `of ${task.id}`);
  const outputs = (await Promise.all(waits)).map(({ structuredContent }) => structuredContent.result);
  expect(outputs).toMatchObject(tasks.map(({ task }) => ({ output: `of ${task.id}` })));
});

it("is logged and counted by its route, with the tool", async () => {
  const { id } = await aTask(db);
  await use(admin, "get_task", { id });
  await expect
    .poll(() => logged.findLast(({ tool }) => tool === "get_task"))
    .toMatchObject({ path: "/mcp", route: "useTools", key: "RUNTIME_API_KEY", status: 200, msg: "request" });
});
