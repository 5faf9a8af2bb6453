/** The story of a fleet: accounts with limits, a CLI that is logged out, one that hangs, one that says its limit as if it were an answer. */
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import type { Account, Explanation, UsageSum, Worker } from "../../src/contract/record-types.ts";
import type { Rest } from "../../src/db/json-types.ts";
import { lines } from "../cli/printed.ts";
import { call, create, PATH, query, startWorker, WORKERS } from "../support/shipped-workers.ts";
import { folderForTest } from "../support/temporary-folder.ts";

const TASKS = 60;
const TOKENS = 7;
const SLOTS = 2;
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

/** A stand-in for Claude's CLI. It notes in the file `runs` what it does: "a" for an answer, "l" for a limit, "o" for a login that is missing. */
const program = (kind: string, runs: string) => `#!${process.execPath}
const fs = require("node:fs");
const kind = ${JSON.stringify(kind)}, runs = ${JSON.stringify(runs)};
const print = (text) => fs.writeSync(1, text);
const note = (what) => fs.appendFileSync(runs, what);
const now = Date.now() / 1000;
if (kind === "logged out") {
  note("o");
  print(${JSON.stringify(lines({ type: "assistant", error: "authentication_failed", message: { content: [{ type: "text", text: "Invalid API key" }] } }))});
  process.exit(1);
}
if (kind === "limited") {
  const before = fs.existsSync(runs) ? fs.statSync(runs).size : 0;
  if (before >= ${RUNS_BEFORE_LIMIT} && !fs.existsSync(runs + ".reset")) fs.writeFileSync(runs + ".reset", String(Math.ceil(now) + ${RESET_SECONDS}));
  const reset = fs.existsSync(runs + ".reset") ? Number(fs.readFileSync(runs + ".reset", "utf8")) : 0;
  if (now < reset) {
    note("l");
    // The first time in words that look like an answer, then as the real one does. Both end with exit code 0.
    if (!fs.readFileSync(runs, "utf8").slice(0, -1).includes("l")) print("Claude AI usage limit reached|" + reset + "\\n");
    else print(JSON.stringify({ type: "rate_limit_event", rate_limit_info: { status: "rejected", rateLimitType: "five_hour", resetsAt: reset, utilization: 1 } }) + "\\n"
      + JSON.stringify({ type: "result", subtype: "success", is_error: true, api_error_status: 429, result: "You've hit your limit" }) + "\\n");
    process.exit(0);
  }
}
note("a");
setTimeout(() => {
  print(${JSON.stringify(success)}.replaceAll("SESSION", "s-" + process.pid + "-" + Date.now()));
  if (kind === "hangs") setInterval(() => {}, 1000);
}, ${RUN_MS});
`;

async function installCli(folder: string, kind: string): Promise<{ bin: string; runs: string }> {
  const bin = join(folder, kind);
  const runs = join(folder, `${kind} runs`);
  await mkdir(bin);
  const file = join(bin, "claude");
  await writeFile(file, program(kind, runs));
  await chmod(file, 0o755);
  return { bin, runs };
}

const accountOf = async (id: string) => (await call<Account[]>("/accounts")).find((account) => account.id === id);
const restsNow = async () => ({
  account: (await accountOf("max-1"))?.rest ?? null,
  worker: (await call<Worker>("/workers/rpi-2")).rest,
});
const ended = (rest: Rest) => (rest.until === null ? "somebody resumes it" : new Date(rest.until).toISOString());

/**
 * Compares once what `accounts`, the workers and `explain` say with each other and with what the CLIs did. Gives what rested, or undefined where
 * something changed meanwhile.
 */
async function compare(limitedRuns: string): Promise<{ account: boolean; worker: boolean } | undefined> {
  const startedAt = Date.now();
  const before = await restsNow();
  const [last] = await query(
    "select id from llm_tasks where status = 'queued' order by created_at desc, id desc limit 1",
  );
  const explanation = last && (await call<Explanation>(`/llm-tasks/${last.id}/explain`));
  const after = await restsNow();
  if (before.account) {
    expect(existsSync(`${limitedRuns}.reset`)).toBe(true);
    expect(before.account.kind).toBe("rate_limited");
    expect(before.account.until).toBeGreaterThanOrEqual(
      Math.max(startedAt, Number(readFileSync(`${limitedRuns}.reset`, "utf8")) * 1_000),
    );
  }
  const isSteady = JSON.stringify(before) === JSON.stringify(after);
  if (!isSteady || explanation?.status !== "queued") return undefined;
  const reasons = Object.fromEntries(
    explanation.workers.map(({ worker_id, reasons }) => [worker_id, reasons.join("; ")]),
  );
  const { account, worker } = before;
  const limit = account ? `rests until ${ended(account)}: account max-1 is at its limit` : "";
  for (const name of ["rpi-1", "rpi-2"].filter((name) => name in reasons))
    if (limit) expect(reasons[name]).toContain(limit);
    else expect(reasons[name]).not.toContain("at its limit");
  if (worker) expect(reasons["rpi-2"]).toContain("its CLI's account gives no access");
  else expect(reasons["rpi-2"] ?? "").not.toContain("logged in");
  expect(reasons["rpi-3"] ?? "").not.toContain("rests");
  return { account: account !== null, worker: worker !== null };
}

it("60 tasks on two accounts, one of which meets its limit, are all completed without an attempt lost", async () => {
  const [, kind] = WORKERS[0] ?? [];
  if (!kind) throw new Error("There is no worker to try.");
  const folder = await folderForTest();
  await Promise.all(Array.from({ length: TASKS }, () => create("story")));
  const start = async (name: string, account: string, cli: string, slots = 1) => {
    const { bin, runs } = await installCli(folder, cli);
    startWorker({ ...kind, path: `${bin}:${PATH}` }, "--cli claude", {
      label: "story",
      name,
      args: ["--account", account, "--concurrency", String(slots)],
      env: { BLOOM_CLI_GRACE_SECONDS: "1" },
    });
    return runs;
  };
  const limited = await start("rpi-1", "max-1", "limited", SLOTS);
  const loggedOut = await start("rpi-2", "max-1", "logged out");
  await start("rpi-3", "max-2", "hangs");

  const seen = new Set<string>();
  const areAllCompleted = async () => {
    const rests = await compare(limited);
    if (rests?.worker) seen.add("the worker rests");
    if (rests?.account) seen.add("the account rests");
    else if (rests && seen.has("the account rests")) seen.add("the account's rest has ended");
    return (await query("select from llm_tasks where status <> 'completed' limit 1")).length === 0;
  };
  await vi.waitUntil(areAllCompleted, { timeout: 200_000, interval: 500 });
  expect([...seen].toSorted()).toEqual(["the account rests", "the account's rest has ended", "the worker rests"]);
  expect((await accountOf("max-1"))?.workers).toEqual(["rpi-1", "rpi-2"]);
  expect(await restsNow()).toMatchObject({ account: null, worker: { kind: "auth", until: null } });

  // The limit met no more tasks than were running when it began, and nothing was asked of a CLI without a login again. Two runs that begin at the
  // same moment may both count as the last one before the limit.
  expect(readFileSync(limited, "utf8")).toMatch(
    new RegExp(`^a{${RUNS_BEFORE_LIMIT},${RUNS_BEFORE_LIMIT + SLOTS - 1}}l{1,${SLOTS}}a+$`),
  );
  expect(readFileSync(loggedOut, "utf8")).toBe("o");
  const attempts = await query("select distinct attempts, error_kind from llm_tasks");
  expect(attempts).toEqual([{ attempts: 1, error_kind: null }]);

  const sums = await query("select distinct (usage ->> 'tokens')::int as tokens from llm_tasks");
  expect(sums).toEqual([{ tokens: TOKENS }]);
  const completed = await query(
    "select worker_id as key, count(*)::int as tasks from llm_results where status = 'success' group by 1 order by 1",
  );
  expect(completed.map(({ key }) => key)).toEqual(["rpi-1", "rpi-3"]);
  const [one, three] = completed.map(({ tasks }) => Number(tasks) * TOKENS);
  const tokensBy = async (dimension: string) => {
    const usage = await call<UsageSum[]>(`/usage?by=${dimension}`);
    expect(Math.round(usage.reduce((sum, { cost_usd }) => sum + cost_usd, 0) * 100)).toBe(TASKS);
    return Object.fromEntries(usage.filter(({ tokens }) => tokens > 0).map(({ key, tokens }) => [key, tokens]));
  };
  expect(await tokensBy("account")).toEqual({ "max-1": one, "max-2": three });
  expect(await tokensBy("worker_id")).toEqual({ "rpi-1": one, "rpi-3": three });
  expect(await tokensBy("model")).toEqual({ opus: TASKS * TOKENS });
}, 240_000);
