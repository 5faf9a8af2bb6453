import { beforeEach, describe, expect, it } from "vitest";
import { forgetSessions } from "../../src/queue/cli-sessions.ts";
import * as printed from "../cli/printed.ts";
import { startApp } from "../support/app.ts";
import { claudeCompletions } from "../support/claude-completions.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const { held, complete, upload } = claudeCompletions(db, api);
const R = "/api/runtime";
const ANSWER = "A seed holds its breath";
const SUCCESS = printed.lines(...printed.claudeSuccess);
const metrics = { duration_ms: 5 };

beforeEach(() => query("truncate workers, runtime_accounts"));

const artifactsOf = async (id: string) => (await api.get(`${R}/artifacts?task_id=${id}`).expect(200)).body;

describe("a completion with what a CLI printed", () => {
  it("has the text of the result as its output, and what was counted as its metrics", async () => {
    const { id, lease_id } = await held();
    const body = { output: SUCCESS, exit_code: 0, lease_id };
    const first = (await complete(id, body).expect(200)).body;
    expect(first).toMatchObject({
      task: { status: "completed" },
      artifact: { type: "LLM_RESULT", content: ANSWER, accepted: true },
      result: { status: "success", output: ANSWER, metrics: { duration_ms: 5, output_tokens: 80, session_id: "s-1" } },
    });
    expect((await complete(id, body).expect(200)).body).toEqual(first);
    expect((await complete(id, { ...body, exit_code: 1 }).expect(409)).body.error).toContain("another body");
    expect(await artifactsOf(id)).toHaveLength(1);
  });

  it("keeps which tools were denied, and counts nothing as used where there is no more than that", async () => {
    const { id } = await held();
    const denied = (n: number) => ({ tool_name: `${n}`.padStart(200, "\u0000tool") });
    const permission_denials = Array.from({ length: 40 }, (_, n) => denied(n));
    const output = printed.lines({ type: "result", subtype: "success", result: "ok", permission_denials });
    const { task, result } = (await complete(id, { output, exit_code: 0 }).expect(200)).body;
    expect(result.metrics.denied_tools).toHaveLength(16);
    expect(result.metrics.denied_tools[0]).toHaveLength(128);
    expect([task.status, task.usage]).toEqual(["completed", null]);
  });

  it("counts as a success whatever became of the command after its result", async () => {
    for (const end of [{ exit_code: 1 }, { status: "error", error_message: "was stopped", error_kind: "timeout" }]) {
      const { id } = await held();
      const { task, result } = (await complete(id, { output: SUCCESS, ...end }).expect(200)).body;
      expect([task.status, result.error_message]).toEqual(["completed", null]);
    }
  });

  it("is an error of its kind when the account is at its limit, with exit code 0 too", async () => {
    const { id, worker } = await held();
    const output = printed.lines(...printed.claudeLimited);
    const { task } = (await complete(id, { output, exit_code: 0 }).expect(200)).body;
    expect(task).toMatchObject({ status: "queued", attempts: 0, error_kind: "rate_limited" });
    const [account] = (await api.get(`${R}/accounts`).expect(200)).body;
    expect(account).toMatchObject({
      id: worker,
      windows: { five_hour: { used: 1, resets_at: 1_795_480_000_000 } },
    });
  });

  it.each([
    ["what the worker says, where the output does not tell", { status: "error", error_kind: "timeout" }, "timeout"],
    ["a crash, where the command ended by itself", { exit_code: 139 }, "crashed"],
    ["none, where the worker ended it", { status: "error", error_message: "was stopped: cancelled" }, null],
    ["no result, where it ended well", { exit_code: 0 }, "parse_error"],
    ["what it says in plain words", { exit_code: 1, error_message: "Invalid API key · Please run /login" }, "auth"],
  ])("has as its kind %s", async (_what, end, kind) => {
    const { id } = await held();
    const output = printed.lines(...printed.claudeSuccess.slice(0, 2));
    const { result } = (await complete(id, { output, ...end }).expect(200)).body;
    expect(result).toMatchObject({ status: "error", error_kind: kind, output: "A seed", incomplete: true });
  });

  it("counts of a session that went on what the run itself cost, and forgets sessions unused for 30 days", async () => {
    const worker = { name: "of-sessions", capabilities: { max_concurrency: 4 } };
    const run = async (context_id: string, total_cost_usd: number, session_id = "s-9") => {
      const { task } = await aLeasedTask(db, { task: { context_id }, worker });
      const output = printed.lines({ type: "result", subtype: "success", result: "ok", session_id, total_cost_usd });
      return (await complete(task.id, { output, exit_code: 0 }).expect(200)).body.result.metrics.cost_usd;
    };
    expect(await run("garden", 0.5)).toBe(0.5);
    expect(await run("garden", 0.75)).toBe(0.25);
    expect(await run("garden", 1)).toBe(0.25);
    expect(await run("garden", 2, "another")).toBe(2);
    expect(await run("field", 3, "another")).toBe(3);
    await query("update runtime_cli_sessions set updated_at = updated_at - 2592001000 where context_id = 'garden'");
    expect([await forgetSessions(db), await forgetSessions(db)]).toEqual([1, 0]);
    expect(await run("garden", 4, "another")).toBe(4);
    expect(await run("field", 4, "another")).toBe(1);
  });

  it("counts all of a session that began anew, since another worker did the last turn of the context", async () => {
    const run = async (name: string, session_id: string, total_cost_usd: number) => {
      const { task } = await aLeasedTask(db, { task: { context_id: "turns", resume: true }, worker: { name } });
      const output = printed.lines({ type: "result", subtype: "success", result: "ok", session_id, total_cost_usd });
      const { result } = (await complete(task.id, { output, exit_code: 0 }).expect(200)).body;
      await query("update runtime_cli_sessions set updated_at = updated_at - 1000 where context_id = 'turns'");
      return result.metrics.cost_usd;
    };
    expect(await run("turn-1", "a", 0.5)).toBe(0.5);
    expect(await run("turn-1", "renamed", 0.75)).toBe(0.25);
    expect(await run("turn-2", "b", 0.5)).toBe(0.5);
    expect(await run("turn-1", "c", 1)).toBe(1);
  });

  it("is read from an upload, whatever its bytes are, and the upload is forgotten", async () => {
    const { id, lease_id } = await held();
    const result = { type: "result", subtype: "success", result: "\u001b[31mred\u001b[0m \\u0000" };
    const line = Buffer.from(printed.lines(result).replace("red", "r\u00ffd"), "latin1");
    const output_id = await upload(id, lease_id, Buffer.concat([Buffer.from([0xff, 0x0a]), line]));
    const { artifact } = (await complete(id, { output_id, exit_code: 0, lease_id }).expect(200)).body;
    expect(artifact).toMatchObject({ content: "r\ufffdd \\u0000", tags: ["invalid_utf8_replaced"] });
    for (const table of ["runtime_staged_outputs", "runtime_output_chunks"])
      expect(await query(`select 1 from ${table}`)).toEqual([]);
  });

  it("stores what JSON escapes and PostgreSQL does not take", async () => {
    const { id } = await held();
    const output = '{"type":"result","subtype":"success","result":"a\\u0000b\\ud800","session_id":"\\u0000s"}\n';
    const { artifact, result } = (await complete(id, { output, exit_code: 0 }).expect(200)).body;
    expect([artifact.content, result.metrics.session_id]).toEqual(["a\ufffdb\ufffd", "\ufffds"]);
  });

  it("is a text, too", async () => {
    const { id, lease_id } = await held();
    await api
      .post(`${R}/llm-tasks/${id}/complete`)
      .query({ cli: "codex", exit_code: 0, duration_ms: 5, lease_id })
      .type("text/plain")
      .send(printed.lines(...printed.codexSuccess))
      .expect(200);
    expect(await artifactsOf(id)).toMatchObject([{ content: "Done." }]);
  });

  it("is refused for a program that is not known", async () => {
    const { id } = await held();
    const { error } = (await complete(id, { cli: "cat", output: "", exit_code: 0 }).expect(400)).body;
    expect(error.fieldErrors.cli[0]).toContain("claude");
  });
});

describe("keep_transcript", () => {
  it("keeps all that was printed as an artifact that is listed after the result, from a body and from an upload", async () => {
    for (const isUploaded of [false, true]) {
      const { id, lease_id } = await held({ keep_transcript: true });
      const output = isUploaded ? { output_id: await upload(id, lease_id, Buffer.from(SUCCESS)) } : { output: SUCCESS };
      const body = { ...output, exit_code: 0, lease_id };
      const first = (await complete(id, body).expect(200)).body;
      expect(first.result.output).toBe(ANSWER);
      expect((await complete(id, body).expect(200)).body).toEqual(first);
      const artifacts = (await artifactsOf(id)).map(({ type, content }: Record<string, string>) => [type, content]);
      expect(artifacts).toEqual([
        ["LLM_RESULT", ANSWER],
        ["LLM_TRANSCRIPT", SUCCESS],
      ]);
    }
  });
});

describe("an agent that names no kind", () => {
  const LIMIT = "Claude AI usage limit reached|1795500000";
  const send = async (id: string, body: object) =>
    (
      await api
        .post(`${R}/llm-tasks/${id}/complete`)
        .send({ metrics, ...body })
        .expect(200)
    ).body;

  it("has the end of its limit told as a time", async () => {
    const { id } = await held();
    const { task } = await send(id, { status: "error", error_message: LIMIT });
    expect(task.last_error).toBe("Claude AI usage limit reached until 2026-11-24T06:00:00.000Z");
  });

  it.each([
    ["an error that ends with such a message", { status: "error", error_message: `${"x".repeat(900)} ${LIMIT}` }],
    ["a success that is nothing but such a message", { status: "success", output: `${LIMIT}\n` }],
    ["an error whose output is such a message", { status: "error", error_message: "ended with code 1", output: LIMIT }],
  ])("is understood: %s", async (_what, body) => {
    const { id, worker } = await held();
    const { task, result } = await send(id, body);
    expect(task).toMatchObject({ status: "queued", attempts: 0, error_kind: "rate_limited" });
    expect(result.status).toBe("error");
    const [account] = (await api.get(`${R}/accounts`).expect(200)).body;
    expect(account).toMatchObject({ id: worker, rest: { kind: "rate_limited" } });
    expect(task.last_error + account.rest.reason).not.toContain("|1795500000");
  });

  it.each([
    "The report says that the usage limit was reached in May.",
    '{"finding": "the log says: usage limit reached"}',
  ])("is taken at its word when it speaks of limits in an answer: %s", async (output) => {
    const { id } = await held();
    expect((await send(id, { status: "success", output })).task.status).toBe("completed");
  });
});
