/** Workers that call the CLI of an LLM, whose output the runtime reads. */
import { afterAll, expect } from "vitest";
import type { Task } from "../../src/contract/record-types.ts";
import { installClis } from "../support/cli-stand-ins.ts";
import { eventually } from "../support/eventually.ts";
import { call, create, describeWorkers, endOf, type Settings, taskOf } from "../support/shipped-workers.ts";

const clis = await installClis();
afterAll(clis.remove);

interface Result {
  status: string;
  output: string | null;
  error_kind: string | null;
  error_message: string | null;
  metrics: Record<string, unknown>;
}
const resultOf = async (id: string) => (await call<Result[]>(`/llm-tasks/${id}/results`))[0];
const artifactOf = async (id: string) =>
  (await call<{ tags: string[]; content: string }[]>(`/artifacts?task_id=${id}`))[0];

describeWorkers(({ it, kind, label, start }) => {
  const startCli = (cli: string, settings: Partial<Settings> = {}) =>
    start(`--cli ${cli}`, { ...settings, env: { PATH: `${clis.folder}:${kind.path}`, ...settings.env } });
  const carriedOut = async (prompt: string, status: string, fields: object = {}): Promise<Task> => {
    const { id } = await create(label, { prompt, ...fields });
    await endOf(id, status);
    return taskOf(id);
  };

  it("hands in what the CLI printed, whatever its shape and its bytes are", async () => {
    startCli("claude");
    for (const prompt of ["success", "array"]) {
      const { id } = await carriedOut(prompt, "completed");
      expect(await resultOf(id)).toMatchObject({ output: "A seed holds its breath", metrics: { output_tokens: 80 } });
    }
    const bytes = await carriedOut("bytes", "completed");
    expect(await artifactOf(bytes.id)).toMatchObject({ content: "r\ufffdd", tags: ["invalid_utf8_replaced"] });
    expect(await artifactOf((await carriedOut("colours", "completed")).id)).toMatchObject({ content: "red" });
  });

  it("gives the CLI what the task decides, and nothing of it as another option", async () => {
    const hints = '--append-system-prompt="$(head -c 100000 "$BLOOM_CONTEXT_HINTS_FILE")"';
    startCli("claude", { args: ["--cli-args", `--permission-mode plan ${hints}`] });
    const plain = await carriedOut("arguments", "completed", { context_hints: ['--model "x"', "$(id)"] });
    const given = (said: string) => ["--permission-mode", "plan", `--append-system-prompt=${said}`];
    const ARGS = ["-p", "--output-format", "stream-json", "--verbose"];
    expect(JSON.parse((await resultOf(plain.id))?.output ?? "")).toEqual([...ARGS, ...given('--model "x"\n$(id)')]);
    const model = '--dangerously "x" $(id)';
    const output_schema = { type: "array", description: 'it\'s "quoted" $HOME' };
    const limits = { max_turns: 7, max_usd: 1.5 };
    const full = await carriedOut("arguments", "completed", { policy: { model }, output_schema, limits });
    expect(JSON.parse((await resultOf(full.id))?.output ?? "")).toEqual([
      ...ARGS,
      `--model=${model}`,
      "--max-turns=7",
      "--max-budget-usd=1.5",
      `--json-schema=${JSON.stringify(output_schema)}`,
      ...given(""),
    ]);
  });

  it("ends a CLI that hangs after its result, which counts", async () => {
    startCli("claude", { env: { BLOOM_CLI_GRACE_SECONDS: "1" } });
    const { id } = await carriedOut("hang", "completed", { policy: { timeout_sec: 3_000 } });
    expect(await resultOf(id)).toMatchObject({ output: "A seed holds its breath", error_message: null });
  });

  it("shows when a limit ends as a date", async () => {
    const { said } = startCli("claude");
    const { id } = await create(label, { prompt: "limit in words" });
    await eventually(async () => expect((await taskOf(id)).last_error).toMatch(/reached until \d{4}-/));
    await eventually(() => expect(said()).toMatch(/reached until \d{4}-/));
    expect(said()).not.toContain("reached|");
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("says how a CLI failed that did not say it itself", async () => {
    startCli("claude");
    const cut = await carriedOut("cut", "failed");
    expect(await resultOf(cut.id)).toMatchObject({
      error_kind: "crashed",
      error_message: expect.stringContaining("ended with code 139: Segmentation fault"),
      output: "A seed",
    });
    const slow = await carriedOut("silence", "failed", { policy: { timeout_sec: 1 } });
    expect(await resultOf(slow.id)).toMatchObject({
      error_kind: "timeout",
      error_message: expect.stringContaining("timed out after 1 s"),
    });
  });

  it.each([
    ["a limit, with exit code 0", "limit", "rate_limited", "account_rest"],
    ["a missing login", "logged out", "auth", "rest"],
  ])("leaves the task to others after %s", async (_what, prompt, error_kind, where) => {
    const account = `account of ${label} & ${prompt}`;
    const { name } = startCli("claude", { args: ["--account", account] });
    const { id } = await create(label, { prompt });
    await expect.poll(async () => (await taskOf(id)).error_kind, { timeout: 30_000 }).toBe(error_kind);
    expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0 });
    const worker = await call<Record<string, unknown>>(`/workers/${name}`);
    expect(worker).toMatchObject({ account, [where]: { kind: error_kind } });
    await call(`/llm-tasks/${id}/cancel`, {});
  });

  it("rests for no task that names a model which does not exist, and its log says why the task failed", async () => {
    const worker = startCli("claude");
    for (const _ of [1, 2, 3]) {
      const { id } = await create(label, { prompt: "no such model" });
      await endOf(id, "failed");
      expect((await taskOf(id)).error_kind).toBe("invalid_input");
    }
    expect(await call<object>(`/workers/${worker.name}`)).toMatchObject({ rest: null });
    const sentence = "There's an issue with the selected model (claude-opsu).";
    const told = () =>
      worker
        .said()
        .split("\n")
        .filter((line) => line.includes("invalid_input"));
    await eventually(() => expect(told().filter((line) => line.includes(sentence))).toHaveLength(3));
  });

  it("goes on with a session of Claude where the task asks for it, and counts what each run itself has cost", async () => {
    const own = `${label}-resume`;
    startCli("claude", { label: own });
    const run = async (prompt: string, fields: object = {}) => {
      const { id } = await create(own, { prompt, context_id: own, ...fields });
      await endOf(id, "completed");
      const { usage } = await taskOf(id);
      return { said: (await resultOf(id))?.output ?? "", cost: usage?.cost_usd };
    };
    expect((await run("success")).cost).toBe(0.0421);
    const sessionIn = (said: string) => JSON.parse(said).filter((each: string) => each.startsWith("--resume"));
    for (const session of ["s-1", "s-1.1"]) {
      const { said, cost } = await run("arguments", { resume: true });
      expect(sessionIn(said)).toEqual([`--resume=${session}`]);
      expect(cost).toBeCloseTo(0.25, 9);
    }
    expect(sessionIn((await run("arguments")).said)).toEqual([]);
  });

  it("calls the other CLIs too, and goes on with their sessions", async () => {
    const answers = [
      ["codex", "Done.", "exec --json --skip-git-repo-check --further resume th-1 -"],
      ["gemini", "Done.", "--output-format json --resume=0a1b-2c --further"],
      ["opencode", "First.\nSecond.", "run --format json --session=ses_1 --further"],
    ] as const;
    await Promise.all(
      answers.map(async ([cli, output, resumed]) => {
        const own = `${label}-${cli}`;
        startCli(cli, { label: own, args: ["--cli-args", "--further"] });
        const { id } = await create(own, { prompt: "success", context_id: own });
        await endOf(id, "completed");
        expect((await resultOf(id))?.output).toBe(output);
        const again = await create(own, { prompt: "arguments", context_id: own, resume: true });
        await endOf(again.id, "completed");
        expect(JSON.parse((await resultOf(again.id))?.output ?? "").join(" ")).toBe(resumed);
      }),
    );
  });

  it("gives any command the task's inputs, as files and as variables", async () => {
    start(`cat "$BLOOM_STRUCTURED_INPUT_FILE" "$BLOOM_ATTACHMENTS_FILE" "$BLOOM_TRACING_FILE"
      printf '%s' "$BLOOM_AGENT_KIND" "$BLOOM_TRACING" "\${BLOOM_OUTPUT_SCHEMA_FILE-none}" "$TRACEPARENT" "$BLOOM_TRACEPARENT"`);
    const TRACING = { trace_id: "4bf92f3577b34da6a3ce929d0e0e4736", parent_span_id: "00f067aa0ba902b7" };
    const within = `00-${TRACING.trace_id}-${TRACING.parent_span_id}-01`;
    const attachments = [{ type: "inline", content: "x", mime_type: "text/plain" }];
    const fields = { structured_input: { a: ["б"] }, attachments, tracing: TRACING, agent_kind: "critic" };
    const { id } = await carriedOut("p", "completed", fields);
    const [input, files, tracing] = [{ a: ["б"] }, attachments, TRACING].map((value) => JSON.stringify(value));
    expect((await resultOf(id))?.output).toBe(`${input}${files}${tracing}critic${tracing}none${within}${within}`);
  });

  it("does not start without a command that it can run, and says why", async () => {
    const wrong = [
      [[], "Either --cli or --exec"],
      [["--cli", "claude", "--exec", "true"], "Either --cli or --exec"],
      [["--exec", "true", "--label", "a"], "--labels"],
      [["--cli", "cat"], "claude, codex, gemini, opencode"],
      [["--cli", "opencode"], '"opencode" of --cli is not found'],
    ] as const;
    await Promise.all(
      wrong.map(async ([args, why]) => {
        const worker = start("", { args: [...args] });
        expect(await worker.exited).not.toBe(0);
        await eventually(() => expect(worker.said()).toContain(why));
      }),
    );
  });
});
