/** In which folder a worker's command runs, and what tells that a worker of its name runs already. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import {
  API_KEY,
  call,
  create,
  describeWorkers,
  endOf,
  ROOT,
  resultOf,
  type Settings,
  taskOf,
} from "../support/shipped-workers.ts";
import { folderForTest } from "../support/temporary-folder.ts";

describeWorkers(({ it, kind, label, start }) => {
  /** Where the command of a worker with these settings runs. The worker has ended then. */
  async function folderOf(settings: Partial<Settings>) {
    const worker = start("pwd -P", settings);
    const { id } = await create(label);
    await endOf(id, "completed");
    await eventually(() => expect(worker.said()).toContain("its command runs in"));
    await worker.crash();
    return { folder: (await resultOf(id))?.output?.trim(), said: worker.said() };
  }
  const named = async () => {
    const [HOME, name] = [await folderForTest(), `worker-${randomUUID()}`];
    return { HOME, name, own: join(HOME, ".bloom-worker", name) };
  };

  it("runs its command where it is called, or in the folder of --cwd", async () => {
    const [here, there] = [await folderForTest(), await folderForTest()];
    expect((await folderOf({ cwd: here })).folder).toBe(here);
    expect((await folderOf({ cwd: here, args: ["--cwd", there] })).folder).toBe(there);
    // npm starts it in the checkout, and says from where it was called.
    const byNpm = { npm_lifecycle_event: "worker", INIT_CWD: here };
    if (!kind.command.join().includes("worker.sh"))
      expect((await folderOf({ cwd: ROOT, env: byNpm })).folder).toBe(here);
    const wrong = start("cat", { args: ["--cwd", join(here, "missing")] });
    expect(await wrong.exited).not.toBe(0);
    await eventually(() => expect(wrong.said()).toMatch(/--cwd: the folder .*missing.* cannot be entered/));
  });

  it("runs it in an empty folder of its own, and says so, where it is called beside the service's files or its key", async () => {
    for (const place of ["docs", "", ".."]) {
      const { HOME, name, own } = await named();
      const { folder, said } = await folderOf({ cwd: join(ROOT, place), name, env: { HOME } });
      expect([folder, await readdir(join(own, "work"))]).toEqual([join(own, "work"), []]);
      expect((await stat(own)).mode & 0o777).toBe(0o700);
      expect((await stat(join(own, "work"))).mode & 0o777).toBe(0o700);
      expect(said).toMatch(
        /its command runs in .*(is the service's checkout|holds the (service's checkout|worker's script))/,
      );
    }
    const { HOME, name, own } = await named();
    const cwd = await folderForTest();
    await mkdir(join(cwd, "secrets"));
    await writeFile(join(cwd, "secrets", "key"), API_KEY);
    const env = { HOME, RUNTIME_API_KEY_FILE: "secrets/key" };
    expect(await folderOf({ cwd, name, env })).toEqual({
      folder: join(own, "work"),
      said: expect.stringContaining("holds the worker's key"),
    });
  });

  it("hands its task back when the folder of its command is gone", async () => {
    const cwd = await folderForTest();
    const worker = start("cat", { args: ["--cwd", cwd] });
    await eventually(async () => expect(await call(`/workers/${worker.name}`)).toMatchObject({ status: "online" }));
    await rm(cwd, { recursive: true });
    const { id } = await create(label);
    await eventually(() => expect(worker.said()).toMatch(/in which its command runs, cannot be entered/));
    expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0 });
    await mkdir(cwd);
    await endOf(id, "completed");
  });

  it("does not start beside another of its name, whose number its pid file has until it ends", async () => {
    const { HOME, name, own } = await named();
    const pidFile = join(own, "pid");
    const first = start("cat", { name, env: { HOME } });
    await eventually(async () => expect((await readFile(pidFile, "utf8")).split("\n")[0]).toBe(`${first.child.pid}`));
    const second = start("cat", { name, env: { HOME } });
    expect(await second.exited).not.toBe(0);
    await eventually(() => expect(second.said()).toContain(`runs on this machine already: process ${first.child.pid}`));
    // A number that another process has by now.
    await first.crash();
    await writeFile(pidFile, `${process.pid}\n1\n`);
    const third = start("cat", { name, env: { HOME } });
    await eventually(async () => expect((await readFile(pidFile, "utf8")).split("\n")[0]).toBe(`${third.child.pid}`));
    await eventually(async () => expect(await call(`/workers/${name}`)).toMatchObject({ status: "online" }));
    third.child.kill("SIGTERM");
    expect(await third.exited).toBe(0);
    expect(existsSync(pidFile)).toBe(false);
  });
});
