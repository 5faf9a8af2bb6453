/** What a worker gives its command, takes from it, and how it ends it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { hang, refuse } from "../support/faulty-proxy.ts";
import { API_KEY, busyBox, call, create, describeWorkers, endOf, proxy, resultOf } from "../support/shipped-workers.ts";
import { folderForTest } from "../support/temporary-folder.ts";

/** What the file holds; nothing where the worker has removed it since it was found. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

describeWorkers(({ it, label, start, startBehindProxy }) => {
  it("executes a task: the prompt comes in and the output goes out to the byte", async () => {
    start(`printf '%s %s|' "$BLOOM_AGENT_SLUG" "$BLOOM_CONTEXT_ID"; cat; printf '\\033[1m'`);
    const prompt = 'Say "hello\\n" \\ / \t тест 🌱\n\n{"prompt":"x"}\u0001\r\n';
    const { id } = await create(label, { prompt });
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe(`writer garden|${prompt}\u001b[1m`);
  });

  it("gives the command the task's fields and not the key, and hints that are too large for a variable in a file", async () => {
    start(
      `printf '%s|' "$BLOOM_TIMEOUT_SEC" "$BLOOM_BUDGET" "$BLOOM_DESIRED_FORMAT" "$BLOOM_CONTEXT_HINTS" "$RUNTIME_API_KEY"
       [ -n "$BLOOM_TASK_ID$BLOOM_LEASE_ID" ] && wc -c < "$BLOOM_CONTEXT_HINTS_FILE" | tr -d ' '`,
    );
    const policy = { timeout_sec: 60.5, budget: 0.25 };
    const small = await create(label, { policy, context_hints: ['a "b"', "c"], desired_format: "json" });
    await endOf(small.id, "completed");
    expect((await resultOf(small.id))?.output).toBe('60.5|0.25|json|a "b"\nc||7\n');
    const large = await create(label, { policy, context_hints: Array(30).fill("h".repeat(9_999)) });
    await endOf(large.id, "completed");
    expect((await resultOf(large.id))?.output).toBe("60.5|0.25|text|||299999\n");
  });

  it("has its key in no file and on no command line, while it waits and while it executes", async () => {
    const TMPDIR = await folderForTest();
    const commandLines = () => execFileSync("ps", ["axww", "-o", "args="], { encoding: "utf8" });
    const files = () =>
      readdirSync(TMPDIR, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => textOf(join(parentPath, name)));
    const { name } = start("cat; sleep 600", { env: { TMPDIR } });
    const isThere = async () => expect(await call(`/workers/${name}`)).toMatchObject({ status: "online" });
    await eventually(isThere, { interval: 100 });
    expect([commandLines(), ...files()].filter((text) => text.includes(API_KEY))).toEqual([]);
    const { id } = await create(label);
    await endOf(id, "running");
    expect([commandLines(), ...files()].filter((text) => text.includes(API_KEY))).toEqual([]);
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("needs no setsid, which a Mac does not have", async () => {
    const without = await folderForTest();
    const programs = busyBox ?? "/usr/bin";
    for (const program of readdirSync(programs))
      if (program !== "setsid") symlinkSync(join(programs, program), join(without, program));
    start(`[ "$(cat)" = slow ] && sleep 60; echo done`, { env: { PATH: without } });
    const done = await create(label);
    await endOf(done.id, "completed");
    const slow = await create(label, { prompt: "slow", policy: { timeout_sec: 1 } });
    await endOf(slow.id, "failed");
    expect((await resultOf(slow.id))?.error_message).toContain("timed out after 1 s");
  });

  it("reads a prompt of 9 MB in seconds", async () => {
    start("cat | wc -c | tr -d ' '");
    const { id } = await create(label, { prompt: 'A "word"\n'.repeat(750_000) });
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("6750000\n");
  });

  it("tells what a command that fails said, and ends one at its timeout", async () => {
    const worker = start(`if [ "$(cat)" = sleep ]; then sleep 60; else echo half; echo 'no "disk"' >&2; exit 7; fi`);
    const failing = await create(label);
    await endOf(failing.id, "failed");
    const failed = await resultOf(failing.id);
    expect([failed?.output, failed?.error_message]).toEqual([
      "half\n",
      expect.stringMatching(/ended with code 7: no "disk"/),
    ]);
    const slow = await create(label, { prompt: "sleep", policy: { timeout_sec: 1 } });
    await endOf(slow.id, "failed");
    expect((await resultOf(slow.id))?.error_message).toContain("timed out after 1 s");
    await eventually(() => expect(worker.said()).toContain("timed out after 1 s"));
    expect(worker.said().split("disk")).toHaveLength(2);
    expect(worker.said()).not.toContain('"kind":null');
  });

  it("stops a task that is cancelled", async () => {
    start("sleep 60");
    const { id } = await create(label);
    await endOf(id, "running");
    await call(`/llm-tasks/${id}/cancel`, { reason: "not needed" });
    await endOf(id, "cancelled");
    expect((await resultOf(id))?.error_message).toContain("the task was cancelled");
  });

  it("ends a command in time that something in another session keeps open", async () => {
    start(`if [ "$(cat)" = slow ]; then setsid sleep 45 & sleep 45; else setsid sleep 45 & echo done; fi`);
    const quick = await create(label);
    await endOf(quick.id, "completed");
    expect((await resultOf(quick.id))?.output).toBe("done\n");
    const slow = await create(label, { prompt: "slow", policy: { timeout_sec: 1.5 } });
    await endOf(slow.id, "failed");
    expect((await resultOf(slow.id))?.error_message).toContain("timed out after 1.5 s");
  });

  it("ends a command that ignores SIGTERM, with what it has started", async () => {
    start("trap '' TERM; (trap '' TERM; sleep 45) & sleep 45");
    const { id } = await create(label, { policy: { timeout_sec: 1 } });
    await endOf(id, "failed");
    expect((await resultOf(id))?.error_message).toContain("timed out after 1 s");
  });

  it("kills at the timeout also when heartbeats are not answered", async () => {
    startBehindProxy("sleep 45");
    proxy.on(/heartbeat$/, hang, 3);
    const before = Date.now();
    const { id } = await create(label, { policy: { timeout_sec: 2 } });
    await endOf(id, "failed");
    expect((await resultOf(id))?.error_message).toContain("timed out after 2 s");
    expect(Date.now() - before).toBeLessThan(20_000);
  });

  it("does not take a cancellation for the next task's", async () => {
    startBehindProxy('[ "$(cat)" = quick ] && sleep 3 || sleep 45');
    const first = await create(label);
    await endOf(first.id, "running");
    await call(`/llm-tasks/${first.id}/cancel`, {});
    await endOf(first.id, "cancelled");
    proxy.on(/heartbeat$/, refuse(503), 2);
    const second = await create(label, { prompt: "quick" });
    await endOf(second.id, "completed");
  });
});
