import { randomUUID } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { openApiKey } from "../../src/worker/api-key.ts";
import { execute } from "../../src/worker/execute.ts";
import { runCommand } from "../../src/worker/run-command.ts";
import { createRuntimeClient, isClaimed, isRecord } from "../../src/worker/runtime-client.ts";
import { createTaskFolder } from "../../src/worker/task-folder.ts";
import { variablesOf } from "../../src/worker/task-inputs.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const { url } = await startApp(db);

describe("a task's execution", () => {
  const task = {
    id: randomUUID(),
    context_id: "garden",
    agent_slug: "writer",
    prompt: "p",
    context_hints: [],
    policy: { timeout_sec: 60, budget: 0 },
    desired_format: "text" as const,
  };
  const shell = (text: string) => ({ shell: text, cli: undefined, graceMs: 0, folder: tmpdir() });
  const work = { task, lease: { id: randomUUID(), ttl_seconds: 300 } };

  it("ends well when the command cannot be started", async () => {
    const folder = await createTaskFolder(work);
    onTestFinished(folder.remove);
    const ended = await runCommand(shell("x".repeat(3_000_000)), work, folder, new AbortController().signal);
    expect(ended.fault).toContain("could not be run: spawn E2BIG");
  });

  it("gives the command the session to go on with, and no text that could be an option", () => {
    const sessionOf = (resume_session: string) => variablesOf({ ...work, resume_session }, {}).BLOOM_RESUME_SESSION;
    expect(sessionOf("01a2-b_c.d:e")).toBe("01a2-b_c.d:e");
    for (const text of ["--dangerously", "-c", "a b", "$(id)", ""]) expect(sessionOf(text)).toBe("");
  });

  it("takes an answer without what was asked for as none", async () => {
    const answers = ["null", "", '{"tasks":{}}', '{"tasks":[null]}', '{"tasks":[{"task":{},"lease":{}}]}'];
    const server = createServer((_request, response) =>
      response.setHeader("X-Bloom-Runtime", "1").end(answers[0]),
    ).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = createRuntimeClient(`http://127.0.0.1:${port}`, await openApiKey(undefined, undefined));
    const { id } = task;
    for (; answers.length > 0; answers.shift()) {
      const beat = client.ask(
        (runtime, signal) => runtime.heartbeatTask({ id }, { signal }),
        20_000,
        undefined,
        isRecord,
      );
      const claim = client.ask(
        (runtime, signal) => runtime.claimTasks({ worker_id: "w" }, { signal }),
        20_000,
        undefined,
        isClaimed,
      );
      if (!answers[0]?.startsWith("{")) expect(await beat).toMatchObject({ ok: false, status: 0 });
      if (answers[0] !== "") expect(await claim).toMatchObject({ ok: false, status: 0 });
    }
  });

  it("leaves no listener behind", async () => {
    const [draining, giveUp] = [new AbortController().signal, new AbortController().signal];
    const client = createRuntimeClient(url, await openApiKey(undefined, undefined));
    await execute(client, shell("true"), work, pino({ level: "silent" }), { draining, giveUp });
    for (const signal of [draining, giveUp]) expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});
