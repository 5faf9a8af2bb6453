import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import * as api from "../../src/client/index.ts";
import type { Event } from "../../src/contract/event-record.ts";
import type * as views from "../../src/contract/record-types.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask, aWorker } from "../support/factories.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const CLIENT = fileURLToPath(new URL("../../src/client", import.meta.url));
const TSC = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));

const { db } = await createTestDatabase();
const key = "a-key-for-tests-0123456789";
const app = await startApp(db, { env: { RUNTIME_API_KEY: key } });
const folder = await temporaryFolder("bloom-client-");
const client = api.createClient({ url: `${app.url}/`, key });
const creation = { context_id: "garden", agent_slug: "writer", prompt: "Write a haiku." };
const proxy = await startProxy(new URL(app.url).host);
afterAll(() => proxy.close());
const behindProxy = api.createClient({ url: `http://127.0.0.1:${proxy.port}`, key });

describe("calls", () => {
  it("carry a task from its creation to its result", async () => {
    const worker = await client.registerWorker({ name: "client" });
    const task = await client.createTask(creation, { headers: { "Idempotency-Key": "the first" } });
    const repeated = await client.createTask(creation, { headers: { "Idempotency-Key": "the first" } });
    expect([task.status, repeated.id]).toEqual(["queued", task.id]);
    const claimed = await client.claimTasks({ worker_id: worker.id });
    const lease_id = claimed?.tasks[0]?.lease.id;
    const { output_id } = await client.uploadOutput(
      { id: task.id, bytes: "five seven five" },
      { headers: { "X-Lease-Id": lease_id } },
    );
    const metrics = { duration_ms: 5 };
    const done = await client.completeTask({ id: task.id, status: "success", output_id, metrics, lease_id });
    expect(done.task.status).toBe("completed");
    const content = await client.getArtifactContent({ id: done.artifact.id }, { headers: { Range: "bytes=0-3" } });
    expect([content.status, await content.text()]).toEqual([206, "five"]);
    expect(await client.claimTasks({ worker_id: worker.id })).toBeUndefined();
    const again = await client.createTask(creation, { headers: { Prefer: "wait=1", "Idempotency-Key": "the first" } });
    expect("task" in again && again.result?.artifact_id).toBe(done.artifact.id);
  });

  it("read lists page by page, to their end", async () => {
    const ids = [];
    for (let made = 0; made < 5; made++) ids.unshift((await aTask(db, { agent_slug: "pages" })).id);
    const page = await client.listTasks({
      agent_slug: "pages",
      status: ["queued", "leased"],
      limit: 2,
      fields: "slim",
    });
    expect(page.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const next = await client.listTasks({ agent_slug: "pages", limit: 2, ...page.next });
    expect(next.map(({ id }) => id)).toEqual(ids.slice(2, 4));
    const all: string[] = [];
    for await (const { id } of api.everyOf((at) => client.listTasks({ agent_slug: "pages", limit: 2, ...at })))
      all.push(id);
    expect(all).toEqual(ids);
    expect((await client.listTasks({ agent_slug: "nobody" })).next).toBeUndefined();
  });

  it("name things as they are, whatever signs that takes", async () => {
    const { id } = await aWorker(db, { name: "a/b ?#%ї" });
    expect((await client.getWorker({ id })).leases).toEqual([]);
    expect(await client.removeWorker({ id })).toEqual({ removed: true, id });
    for (const none of ["", ".", ".."])
      await expect(client.getWorker({ id: none })).rejects.toThrow("id is missing, or no name");
  });
});

describe("a call that fails", () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  it("says the service's sentence, its status and what is wrong with which field", async () => {
    const id = "00000000-0000-4000-8000-000000000000";
    const missing = await failure(client.getTask({ id }));
    expect(missing).toBeInstanceOf(api.Refused);
    expect(missing).toMatchObject({ message: "Task not found", status: 404, requestId: expect.stringMatching(/./) });
    const invalid = await failure(client.createTask({ ...creation, prompt: "", max_attempts: 11 }));
    expect(invalid).toMatchObject({
      status: 400,
      fields: { prompt: [expect.anything()], max_attempts: [expect.anything()] },
    });
    expect((invalid as Error).message).toMatch(/^prompt: .*; max_attempts: /);
    const { id: worker } = await aWorker(db);
    await client.restWorker({ id: worker, seconds: 60, reason: "its account is at its limit" });
    expect(await failure(client.claimTasks({ worker_id: worker }))).toMatchObject({
      status: 409,
      retryAfterSeconds: expect.closeTo(60, -1),
    });
  });

  it("asks for its key each time", async () => {
    let shown: string | undefined;
    const renewed = api.createClient({ url: app.url, key: () => shown });
    expect(await failure(renewed.getStats())).toMatchObject({
      status: 401,
      message: expect.stringContaining("needs a key"),
    });
    shown = key;
    expect((await renewed.getStats()).tasks.total).toBeGreaterThan(0);
  });

  it("takes nothing for an answer that is not the runtime's own", async () => {
    const other = createServer((_request, response) =>
      response.writeHead(404, { "content-type": "application/json" }).end("{}"),
    );
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const elsewhere = api.createClient({ url: `http://127.0.0.1:${port}`, key });
    expect(await failure(elsewhere.getStats())).toMatchObject({
      name: "NoAnswer",
      message: expect.stringContaining("The answer 404"),
    });
    await new Promise((resolve) => other.close(resolve));
    expect(await failure(elsewhere.getStats())).toMatchObject({
      name: "NoAnswer",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    const reason = new Error("the user has left");
    expect(await failure(client.getStats({}, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe("streams", () => {
  it("give every change once, over a lost connection", async () => {
    const stop = new AbortController();
    const states: boolean[] = [];
    const changes = behindProxy.followEvents(
      { types: "task.created" },
      { signal: stop.signal, onState: ({ isOpen }) => void states.push(isOpen) },
    );
    const old = new Set((await client.listTasks({ limit: 1_000, fields: "slim" })).map(({ id }) => id));
    // A stream that begins now may begin with what was committed just before, while an older transaction is still running.
    const next = async () => {
      for (;;) {
        const { value } = await changes.next();
        if (value?.type !== "event" || !old.has(value.event.task_id ?? "")) return value;
      }
    };
    const first = next();
    await eventually(() => expect(states).toEqual([true]));
    const tasks = [await aTask(db)];
    expect(await first).toMatchObject({ type: "event", event: { task_id: tasks[0]?.id, type: "task.created" } });
    proxy.cut();
    tasks.push(await aTask(db), await aTask(db));
    expect(await next()).toMatchObject({ event: { task_id: tasks[1]?.id } });
    expect(await next()).toMatchObject({ event: { task_id: tasks[2]?.id } });
    expect(states).toEqual([true, false, true]);
    const last = next();
    stop.abort();
    expect(await last).toBeUndefined();
  });

  it("say when changes are not there any more, and reject what is refused for good", async () => {
    for await (const change of client.followEvents({ after: "1.1" })) {
      expect(change).toMatchObject({ type: "reset", reason: expect.stringContaining("not there any more") });
      break;
    }
    await expect(client.followEvents({ types: "no.such" }).next()).rejects.toThrow(api.Refused);
    await expect(api.createClient({ url: app.url }).followEvents().next()).rejects.toThrow("X-Runtime-API-Key");
  });

  it("give what a task prints until it has ended", async () => {
    const { id: worker_id } = await aWorker(db);
    const { id } = await aTask(db);
    const { lease } = await client.leaseTask({ id, worker_id });
    const printed: string[] = [];
    const reading = (async () => {
      for await (const { text } of behindProxy.followOutput({ id })) printed.push(text);
    })();
    await client.addLiveOutput({ id, lease_id: lease.id, seq: 0, text: "one" });
    await eventually(() => expect(printed).toEqual(["one"]));
    proxy.cut();
    await client.addLiveOutput({ id, lease_id: lease.id, seq: 1, text: "two" });
    await eventually(() => expect(printed).toEqual(["one", "two"]));
    await client.completeTask({ id, status: "success", output: "", metrics: { duration_ms: 1 }, lease_id: lease.id });
    await reading;
    expect(printed).toEqual(["one", "two"]);
  });
});

it("is a package that a project of its own can use, with its types and without the service's sources", async () => {
  const packed = join(folder, "node_modules/bloom-runtime-client");
  await mkdir(packed, { recursive: true });
  const npm = { cwd: CLIENT, env: { ...process.env, npm_config_update_notifier: "false" } };
  await run("npm", ["pack", "--silent", "--pack-destination", folder], npm);
  await run("tar", ["-xzf", join(folder, "bloom-runtime-client-1.0.0.tgz"), "-C", packed, "--strip-components", "1"]);
  expect((await readdir(packed)).sort()).toEqual(["README.md", "dist", "package.json"]);
  const program = `
    import { createClient, everyOf, Refused, type SlimTask } from "bloom-runtime-client";
    const client = createClient({ url: "${app.url}", key: "${key}" });
    const status: number = await client.getTask({ id: "x" }).then(() => 200, (error) => error instanceof Refused ? error.status : 0);
    const slim: SlimTask[] = [];
    for await (const task of everyOf((next) => client.listTasks({ fields: "slim", ...next }))) slim.push(task);
    // @ts-expect-error: A status is a text.
    const wrong = () => client.listTasks({ status: 1 });
    document.title = JSON.stringify([status, slim.length > 0, typeof wrong]);
  `;
  await writeFile(join(folder, "main.ts"), program);
  const options = { module: "nodenext", target: "es2023", lib: ["es2023", "dom"], types: [], strict: true };
  const checks = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false };
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: { ...options, ...checks } }));
  const { stdout } = await run(process.execPath, [TSC, "--project", folder]).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe("");
  const page = `globalThis.document = {}; await import("./main.js"); console.log(document.title);`;
  const { stdout: shown } = await run(process.execPath, ["--input-type=module", "--eval", page], { cwd: folder });
  expect(JSON.parse(shown)).toEqual([404, true, "function"]);
});

it("has the types of the service's own records and requests", () => {
  expectTypeOf<api.Task>().toExtend<views.Task>();
  expectTypeOf<views.Task>().toExtend<api.Task>();
  expectTypeOf<api.Completed>().toExtend<views.Completed>();
  expectTypeOf<views.Completed>().toExtend<api.Completed>();
  expectTypeOf<api.Explanation>().toExtend<views.Explanation>();
  expectTypeOf<api.Worker>().toExtend<views.Worker>();
  expectTypeOf<views.Worker>().toExtend<api.Worker>();
  expectTypeOf<api.Event>().toEqualTypeOf<Event>();
  expectTypeOf<Awaited<ReturnType<api.Client["getStats"]>>>().toExtend<views.Stats>();
  expectTypeOf(client.createTask).parameter(0).not.toExtend<{ context_id: number }>();
  // @ts-expect-error: The field does not exist.
  const unknown = () => client.createTask({ ...creation, prioritty: 1 });
  // @ts-expect-error: A prompt is required.
  const missing = () => client.createTask({ context_id: "garden", agent_slug: "writer" });
  // @ts-expect-error: The header is none of this call.
  const header = () => client.getTask({ id: "x" }, { headers: { Prefer: "wait=1" } });
  expect([unknown, missing, header]).toHaveLength(3);
});
