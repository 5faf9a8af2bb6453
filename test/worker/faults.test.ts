/** What a worker does when something is wrong with its machine, its key, or what stands between it and the runtime. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { createKey } from "../../src/saved-config/named-keys.ts";
import { eventually } from "../support/eventually.ts";
import { answerAsStranger, refuse } from "../support/faulty-proxy.ts";
import { isAlive } from "../support/is-alive.ts";
import {
  API_KEY,
  call,
  create,
  db,
  describeWorkers,
  endOf,
  proxy,
  query,
  resultOf,
  startWorker,
  taskOf,
  WORKERS,
} from "../support/shipped-workers.ts";
import { folderForTest } from "../support/temporary-folder.ts";

describeWorkers(({ it, kind, label, start, startBehindProxy }) => {
  it("whose command cannot be run leaves 30 of 30 tasks to another, with no attempt lost", async () => {
    const tasks = await Promise.all(Array.from({ length: 30 }, () => create(label)));
    // The shell knows only when it has tried.
    const broken = start("exec /nowhere/claude -p");
    expect(await broken.exited).toBe(1);
    await eventually(() => expect(broken.said()).toContain("could not be run (exit code 127)"));
    const healthy = WORKERS[0]?.[1] ?? kind;
    startWorker(healthy, "cat", { label });
    for (const { id } of tasks) await endOf(id, "completed");
    const ids = tasks.map(({ id }) => id);
    expect(await query("select attempts, count(*)::int from llm_tasks where id = any($1) group by 1", [ids])).toEqual([
      { attempts: 1, count: 30 },
    ]);
  });

  it("whose CLI vanishes hands its task back, and ends, and its record says why until it is started anew", async () => {
    const file = join(await folderForTest(), "claude");
    const install = () => writeFile(file, "#!/bin/sh\necho done\n", { mode: 0o755 });
    await install();
    const worker = start(file);
    await endOf((await create(label)).id, "completed");
    await rm(file);
    const { id } = await create(label);
    expect(await worker.exited).toBe(1);
    const told = () => call<{ rest: { reason: string } | null }>(`/workers/${worker.name}`);
    expect(await told()).toMatchObject({
      status: "offline",
      rest: { kind: "worker", reason: expect.stringMatching(/^its command could not be run \(exit code 127\)/) },
    });
    const { workers } = await call<{ workers: { worker_id: string; reasons: string[] }[] }>(`/llm-tasks/${id}/explain`);
    const reasons = workers.find(({ worker_id }) => worker_id === worker.name)?.reasons.join();
    expect(reasons).toContain("its command could not be run");
    await install();
    start(file, { name: worker.name });
    await endOf(id, "completed");
    expect((await told()).rest).toBeNull();
  });

  it("whose command fails at once again and again rests, and its record says so", async () => {
    const worker = start("echo 'No such model' >&2; exit 1");
    const tasks = [await create(label), await create(label), await create(label)];
    await eventually(() => expect(worker.said()).toContain("takes no work for a while"));
    await eventually(async () => {
      const { rest } = await call<{ rest: { reason: string } | null }>(`/workers/${worker.name}`);
      expect(rest?.reason).toContain("failed 2 times in a row");
    });
    const ended = await Promise.all(tasks.map(async ({ id }) => (await taskOf(id)).status));
    expect(ended.filter((status) => status === "failed")).toHaveLength(2);
    expect(worker.said()).toContain("No such model");
    for (const { id } of tasks) await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("writes what a failed command said into its log without a line break and a terminal's commands", async () => {
    const worker = start("printf 'limit\\033[2J\\r\\n2026-01-01 all is well\\\\033[31m' >&2; exit 1");
    const { id } = await create(label);
    await endOf(id, "failed");
    const { error_message } = (await resultOf(id)) ?? {};
    expect(error_message).toContain("limit\u001b[2J\r\n2026-01-01 all is well\\033[31m");
    await eventually(() => expect(worker.said()).toContain("all is well"));
    expect(worker.said()).not.toMatch(/[^\n\P{Cc}]|^2026-01-01/mu);
  });

  it("takes no part of an answer for a number that is none", async () => {
    const file = join(await folderForTest(), "executed");
    const worker = startBehindProxy("sleep 3; echo done");
    proxy.on(/heartbeat$/, async (response, forward) => {
      const { status, headers, body } = await forward();
      const next = encodeURIComponent(`a[$(touch ${file})]/`);
      response.writeHead(status, { ...headers, "x-bloom-next-heartbeat-ms": next }).end(body);
    });
    const { id } = await create(label);
    await endOf(id, "completed");
    expect(existsSync(file)).toBe(false);
    expect(worker.said()).not.toMatch(/arithmetic|syntax/);
  });

  it("takes a proxy's own answers for none, and claims for 90 s", async () => {
    startBehindProxy("sleep 1; echo kept");
    proxy.on(/heartbeat$/, answerAsStranger(404), 2);
    proxy.on(/complete/, answerAsStranger(404), 2);
    const { id } = await create(label);
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("kept\n");
    expect(await query("select ttl_seconds from leases where task_id = $1", [id])).toEqual([{ ttl_seconds: 90 }]);
  });

  it("offers a finished result again with the next key of its file", async () => {
    const file = join(await folderForTest(), "key");
    const before = await createKey(db, undefined, `before-${label}`, "admin");
    await writeFile(file, `${before}\n`);
    startBehindProxy("echo kept", { env: { RUNTIME_API_KEY_FILE: file } });
    proxy.on(/complete/, async (response, forward) => {
      await writeFile(file, API_KEY);
      await refuse(401)(response, forward);
    });
    const { id } = await create(label);
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("kept\n");
  });

  it("that is killed takes its command with it", async () => {
    const file = join(await folderForTest(), "pid");
    const worker = start(`echo $$ > ${file}; exec sleep 600`);
    const { id } = await create(label);
    await endOf(id, "running");
    const pid = await eventually(async () => {
      const written = Number(await readFile(file, "utf8"));
      expect(written > 0 && isAlive(written)).toBe(true);
      return written;
    });
    worker.child.kill("SIGKILL");
    await eventually(() => expect(isAlive(pid)).toBe(false), { interval: 100 });
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("that is hung up on stops its task and hands it back", async () => {
    const worker = start("sleep 600");
    const { id } = await create(label);
    await endOf(id, "running");
    worker.child.kill("SIGHUP");
    await worker.exited;
    expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0 });
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("without room for its files hands tasks back, waits and says so", async () => {
    const TMPDIR = join(await folderForTest(), "tmp");
    await mkdir(TMPDIR);
    const worker = startBehindProxy("echo done", { env: { TMPDIR } });
    const claims = () => proxy.calls.filter((path) => path.includes("claim")).length;
    await eventually(() => expect(claims()).toBeGreaterThan(0));
    await rm(TMPDIR, { recursive: true });
    const saysSo = () => /no file can be written|cannot be written/.test(worker.said());
    await eventually(() => expect(saysSo() || claims() > 1).toBe(true));
    const { id } = await create(label);
    await eventually(() => expect(saysSo()).toBe(true));
    await eventually(async () => expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0 }));
    await mkdir(TMPDIR);
    await endOf(id, "completed");
    expect((await taskOf(id)).attempts).toBe(1);
  });

  it("hands in any bytes as they are, marked where they are no text in UTF-8", async () => {
    start("cat > /dev/null; printf '\\317\\360\\000x'");
    const { id } = await create(label);
    await endOf(id, "completed");
    const sha256 = createHash("sha256")
      .update(Buffer.from([0xcf, 0xf0, 0, 0x78]))
      .digest("hex");
    const stored = await query("select sha256, content_type from runtime_artifacts where task_id = $1", [id]);
    expect(stored).toEqual([{ sha256, content_type: "application/octet-stream" }]);
  });
});
