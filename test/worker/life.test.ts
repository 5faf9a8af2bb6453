/** How a worker begins, goes on and ends. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it as vitestIt } from "vitest";
import { eventually } from "../support/eventually.ts";
import { refuse } from "../support/faulty-proxy.ts";
import {
  API_KEY,
  busyBox,
  call,
  create,
  describeWorkers,
  endOf,
  PATH,
  proxy,
  query,
  ROOT,
  resultOf,
  SCRIPT,
  startWorker,
  taskOf,
  url,
} from "../support/shipped-workers.ts";
import { folderForTest } from "../support/temporary-folder.ts";

describeWorkers(({ it, kind, label, start, startBehindProxy }) => {
  it("says what is wrong with its options", async () => {
    const [program = "", ...args] = kind.command;
    const HOME = await folderForTest();
    const notThere = ["--exec", "claude-is-not-here -p"];
    for (const options of [[], ["--exec"], ["--nonsense", "x", "--exec", "cat"], notThere, ["--exec", "cat | | cat"]]) {
      const child = spawn(program, [...args, ...options], { env: { ...process.env, PATH: kind.path, HOME } });
      let said = "";
      child.stderr.on("data", (chunk) => {
        said += chunk;
      });
      const [code] = await once(child, "close");
      expect([code === 0, said.length > 10, /\n\s+at /.test(said)]).toEqual([false, true, false]);
    }
  });

  it("ends with the reason when its first registration is refused", async () => {
    const worker = start("cat", { key: "not-the-key-of-the-runtime" });
    expect(await worker.exited).not.toBe(0);
    await eventually(() =>
      expect(worker.said()).toMatch(/refused the registration.*is not valid, or has been revoked.*RUNTIME_API_KEY/s),
    );
  });

  it("ends with the reason when its address is that of a page, or has no scheme", async () => {
    const page = start("cat", { server: `${url}/console` });
    expect(await page.exited).not.toBe(0);
    await eventually(() => expect(page.said()).toMatch(/refused the registration: 404 .*\sGive --server/));
    const bare = start("cat", { server: url.replace("http://", "") });
    expect(await bare.exited).not.toBe(0);
    await eventually(() => expect(bare.said()).toContain("--server must be an http:// or https:// address."));
  });

  it("says where an answer leads that is not the runtime's, and asks where there is no TLS", async () => {
    const redirected = startBehindProxy("cat");
    proxy.on(/workers$/, (response) => void response.writeHead(308, { location: "https://runtime.example/" }).end());
    await eventually(() =>
      expect(redirected.said()).toMatch(/308.*not the runtime's own.*leads to https:\/\/runtime.example\//),
    );
    const wrong = start("cat", { server: url.replace("http://", "https://") });
    await eventually(() => expect(wrong.said()).toContain("is it http://?"));
  });

  it("says that its key is refused, and is not kept from draining by that", async () => {
    const worker = startBehindProxy("cat");
    await eventually(() => expect(proxy.calls.at(-1)).toMatch(/claim$/));
    proxy.on(/claim$/, refuse(401));
    await eventually(() => expect(worker.said()).toContain("401"));
    worker.child.kill("SIGTERM");
    expect(await worker.exited).toBe(0);
    expect(proxy.calls.at(-1)).toMatch(/workers$/);
  });

  it("goes on when it has to register again and that is refused at first", async () => {
    const worker = startBehindProxy("echo back");
    await eventually(() => expect(proxy.calls.at(-1)).toMatch(/claim$/));
    proxy.on(/claim$/, refuse(404));
    proxy.on(/workers$/, refuse(404), 2);
    const { id } = await create(label);
    await endOf(id, "completed");
    expect((await taskOf(id)).worker_id).toBe(worker.name);
  });

  it("that was killed and starts again gets its task back at once, under another life", async () => {
    const first = start("sleep 60");
    const { id } = await create(label);
    await endOf(id, "running");
    await first.crash();
    start("echo again", { name: first.name });
    await endOf(id, "completed");
    expect((await taskOf(id)).attempts).toBe(2);
    const [{ boots } = { boots: 0 }] = await query<{ boots: number }>(
      "select count(*)::int as boots from audit_logs where entity_id = $1",
      [first.name],
    );
    expect(boots).toBeGreaterThanOrEqual(2);
  });

  it("shows what its command prints while it runs, each byte once, also where a character is cut in two", async () => {
    const go = join(await folderForTest(), "go");
    start(`printf 'one '; printf '\\320'; while [ ! -e '${go}' ]; do sleep 0.1; done; printf '\\261 two'; sleep 3`);
    const { id } = await create(label);
    const shown = async () => {
      const { pieces } = await call<{ pieces: { text: string }[] }>(`/llm-tasks/${id}/stream`);
      return pieces.map(({ text }) => text).join("");
    };
    await expect.poll(shown, { timeout: 30_000 }).toMatch(/^one /);
    await writeFile(go, "");
    // The shell sends bytes as they come, and what is no whole character is replaced.
    await expect.poll(shown, { timeout: 30_000 }).toMatch(/^one (б|\ufffd\ufffd) two$/);
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("one б two");
  });

  it("says once why it gets no work, however often it asks", async () => {
    const { name, said } = start("cat");
    const worker = () => call<{ last_heartbeat: number }>(`/workers/${name}`);
    await expect.poll(async () => (await worker()).last_heartbeat, { timeout: 30_000 }).toBeGreaterThan(0);
    await call(`/workers/${name}/drain`, { reason: "holidays" });
    await expect.poll(said, { timeout: 30_000 }).toContain("holidays");
    const { last_heartbeat } = await worker();
    await expect.poll(async () => (await worker()).last_heartbeat, { timeout: 30_000 }).toBeGreaterThan(last_heartbeat);
    await call(`/workers/${name}/resume`, {});
    const { id } = await create(label);
    await endOf(id, "completed");
    expect(said().split("holidays")).toHaveLength(2);
  });

  it("drains on SIGTERM: what it runs is completed, and it exits 0", async () => {
    const { child, exited, name } = start("sleep 2; echo done");
    const { id } = await create(label);
    await endOf(id, "running");
    const later = await create(label);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    expect([(await taskOf(id)).status, (await taskOf(later.id)).status]).toEqual(["completed", "queued"]);
    // The router is not to give it anything in the minute until its silence is noticed.
    expect((await call<{ status: string }>(`/workers/${name}`)).status).toBe("offline");
    await call(`/llm-tasks/${later.id}/cancel`, {});
  });

  it("that is to end at once hands back what it runs, and says that it is gone", async () => {
    const { child, exited, name } = start("sleep 60");
    const { id } = await create(label);
    await endOf(id, "running");
    child.kill("SIGHUP");
    await exited;
    expect((await taskOf(id)).status).toBe("queued");
    expect((await call<{ status: string }>(`/workers/${name}`)).status).toBe("offline");
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("hands back what a claim gives while it drains, and then ends", async () => {
    const worker = startBehindProxy("echo never");
    proxy.on(/claim$/, async (response, forward) => {
      const { status, headers, body } = await forward();
      worker.child.kill("SIGTERM");
      // Only then does the answer arrive.
      setTimeout(() => response.writeHead(status, headers).end(body), 500);
    });
    const { id } = await create(label);
    expect(await worker.exited).toBe(0);
    expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0, lease_id: null });
    await call(`/llm-tasks/${id}/cancel`, {});
  });
});

vitestIt.skipIf(!busyBox)("the shell worker runs from a pipe, as it comes from the service", async () => {
  const response = await fetch(`${url}/api/runtime/worker.sh`, { headers: { "x-runtime-api-key": API_KEY } });
  const script = await response.text();
  const path = busyBox ?? "";
  const piped = { command: [join(path, "sh"), "-s", "--"], path };
  startWorker(piped, "cat", { label: "only-piped", script });
  const { id } = await create("only-piped", { prompt: "through a pipe" });
  await endOf(id, "completed");
  expect((await resultOf(id))?.output).toBe("through a pipe");
});

vitestIt("the lines that fetch the shell worker end as failed with a wrong key", async () => {
  for (const file of [join(ROOT, "README.md"), SCRIPT]) {
    const line = /\{ curl .*\|\s+sh -s .*/.exec(await readFile(file, "utf8"))?.[0] ?? "";
    const env = { ...process.env, RUNTIME_API_KEY: "wrong" };
    const ended = spawnSync("sh", ["-c", line.replaceAll("http://host:3002", url)], { env, encoding: "utf8" });
    expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining("401")]);
  }
});

vitestIt("the shell worker keeps its lease when its file's name has spaces", async () => {
  const file = join(await folderForTest(), "worker (1).sh");
  await copyFile(SCRIPT, file);
  await chmod(file, 0o700);
  const worker = startWorker({ command: [file], path: PATH }, "sleep 60", { label: "only-spaced" });
  const { id } = await create("only-spaced");
  await endOf(id, "running");
  await worker.crash();
  await call(`/llm-tasks/${id}/cancel`, {});
});

vitestIt("the shell worker comes from the service, as it lies here", async () => {
  const response = await fetch(`${url}/api/runtime/worker.sh`, { headers: { "x-runtime-api-key": API_KEY } });
  const script = await response.text();
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    expect.stringContaining("text/x-shellscript"),
  ]);
  expect(script).toBe(await readFile(SCRIPT, "utf8"));
});

vitestIt("the shell worker tells its options", () => {
  const said = execFileSync("sh", [SCRIPT, "--help"], { encoding: "utf8" });
  for (const option of ["--server", "--name", "--cli", "--cli-args", "--exec", "--labels", "--account", "--cwd"])
    expect(said).toContain(`\n  ${option} `);
  // Under the mode "plan" an agent only plans.
  expect(said).toContain("--permission-mode acceptEdits");
});
