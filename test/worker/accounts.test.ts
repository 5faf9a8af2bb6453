/** The story of a fleet: accounts with limits, a CLI that is logged out, one that hangs, one that says its limit as if it were an answer. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Account, Explanation, Worker } from "../../src/contract/views.ts";
import { lines } from "../cli/printed.ts";
import { call, create, folderForTest, PATH, query, startWorker, WORKERS } from "../support/workers.ts";

const TASKS = 60;
const RUNS_BEFORE_LIMIT = 10;
const RESET_SECONDS = 20;
const RUN_MS = 700;

const success = lines(
  { type: "system", subtype: "init", session_id: "SESSION", model: "opus" },
  {
    type: "result",
    subtype: "success",
    is_error: false,
    result: "done",
    session_id: "SESSION",
    num_turns: 1,
    total_cost_usd: 0.01,
    modelUsage: {
      opus: { inputTokens: 3, outputTokens: 4, cacheReadInputTokens: 0, cacheCreationInputTokens: 0, costUSD: 0.01 },
    },
  },
);

/** A stand-in for Claude's CLI. `max-1` and `max-1-words` share an account, whose runs they count in a file; the limit begins when it is reached. */
const program = (kind: string, state: string) => `#!${process.execPath}
const fs = require("node:fs");
const kind = ${JSON.stringify(kind)}, state = ${JSON.stringify(state)};
const print = (text) => fs.writeSync(1, text);
const now = Date.now() / 1000;
if (kind === "logged out") {
  print(${JSON.stringify(lines({ type: "assistant", error: "authentication_failed", message: { content: [{ type: "text", text: "Invalid API key" }] } }))});
  process.exit(1);
}
if (kind.startsWith("max-1")) {
  fs.appendFileSync(state, "x");
  const runs = fs.statSync(state).size;
  if (runs > ${RUNS_BEFORE_LIMIT} && !fs.existsSync(state + ".reset")) fs.writeFileSync(state + ".reset", String(Math.ceil(now) + ${RESET_SECONDS}));
  const reset = fs.existsSync(state + ".reset") ? Number(fs.readFileSync(state + ".reset", "utf8")) : 0;
  if (now < reset) {
    // One CLI says it as the real one does, the other in words that look like an answer. Both end with exit code 0.
    if (kind === "max-1-words") print("Claude AI usage limit reached|" + reset + "\\n");
    else print(JSON.stringify({ type: "rate_limit_event", rate_limit_info: { status: "rejected", rateLimitType: "five_hour", resetsAt: reset, utilization: 1 } }) + "\\n"
      + JSON.stringify({ type: "result", subtype: "success", is_error: true, api_error_status: 429, result: "You've hit your limit" }) + "\\n");
    process.exit(0);
  }
}
setTimeout(() => {
  print(${JSON.stringify(success)}.replaceAll("SESSION", "s-" + process.pid + "-" + Date.now()));
  if (kind === "hangs") setInterval(() => {}, 1000);
}, ${RUN_MS});
`;

async function installCli(folder: string, kind: string): Promise<string> {
  const bin = join(folder, kind);
  await mkdir(bin);
  const file = join(bin, "claude");
  await writeFile(file, program(kind, join(folder, "runs")));
  await chmod(file, 0o755);
  return bin;
}

it("60 tasks on two accounts, one of which meets its limit, are all completed without an attempt lost", async () => {
  const [, kind] = WORKERS[0] ?? [];
  if (!kind) throw new Error("There is no worker to try.");
  const folder = await folderForTest();
  await Promise.all(Array.from({ length: TASKS }, () => create("story")));
  const start = async (name: string, account: string, cli: string, concurrency = 1) =>
    startWorker({ ...kind, path: `${await installCli(folder, cli)}:${PATH}` }, "--cli claude", {
      label: "story",
      name,
      args: ["--account", account, "--concurrency", String(concurrency)],
      env: { BLOOM_CLI_GRACE_SECONDS: "1" },
    });
  await start("rpi-1", "max-1", "max-1");
  await start("rpi-2", "max-1", "max-1-words");
  await start("rpi-3", "max-2", "hangs", 2);
  await start("rpi-4", "max-2", "logged out");

  const accountOf = async (id: string) => (await call<Account[]>("/accounts")).find((account) => account.id === id);
  await expect
    .poll(async () => (await accountOf("max-1"))?.rest?.kind, { timeout: 60_000, interval: 100 })
    .toBe("rate_limited");
  const limited = await accountOf("max-1");
  expect(limited?.workers).toEqual(["rpi-1", "rpi-2"]);
  expect((limited?.rest?.until ?? 0) - Date.now()).toBeGreaterThan(0);
  expect((limited?.rest?.until ?? 0) - Date.now()).toBeLessThan((RESET_SECONDS + 2) * 1_000);
  for (const name of ["rpi-1", "rpi-2"])
    expect((await call<Worker>(`/workers/${name}`)).account_rest).toMatchObject({ kind: "rate_limited" });
  await expect.poll(async () => (await call<Worker>("/workers/rpi-4")).rest?.kind, { timeout: 30_000 }).toBe("auth");
  /** Why the workers have not got the task that would be the last to be taken; another may have been taken since it was looked for. */
  const reasonsNow = async () => {
    const last = await query(
      "select id from llm_tasks where status = 'queued' order by created_at desc, id desc limit 1",
    );
    const { workers } = await call<Explanation>(`/llm-tasks/${last[0]?.id}/explain`);
    return Object.fromEntries(workers.map(({ worker_id, reasons }) => [worker_id, reasons.join("; ")]));
  };
  await expect.poll(reasonsNow, { timeout: 10_000 }).toMatchObject({
    "rpi-1": expect.stringContaining("account max-1 is at its limit"),
    "rpi-4": expect.stringContaining("its CLI is not logged in"),
  });

  await expect
    .poll(async () => (await query("select count(*)::int as n from llm_tasks where status <> 'completed'"))[0]?.n, {
      timeout: 150_000,
      interval: 500,
    })
    .toBe(0);
  const attempts = await query("select distinct attempts, error_kind from llm_tasks");
  expect(attempts).toEqual([{ attempts: 1, error_kind: null }]);
  // Those of max-1 worked again after the reset.
  expect((await accountOf("max-1"))?.rest).toBeNull();
  const usage = await call<{ key: string; attempts: number; tokens: number; cost_usd: number }[]>("/usage?by=account");
  const total = (figure: "tokens" | "cost_usd") => usage.reduce((sum, account) => sum + account[figure], 0);
  expect([total("tokens"), Math.round(total("cost_usd") * 100)]).toEqual([7 * TASKS, TASKS]);
  expect(usage.map(({ key }) => key).toSorted()).toEqual(["max-1", "max-2"]);
  const sums = await query("select distinct (usage ->> 'tokens')::int as tokens from llm_tasks");
  expect(sums).toEqual([{ tokens: 7 }]);
}, 240_000);
