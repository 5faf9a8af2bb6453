import { beforeEach, describe, expect, it } from "vitest";
import * as printed from "../cli/printed.ts";
import { startApp } from "../support/app.ts";
import { claudeCompletions } from "../support/claude-completions.ts";
import { createTestDatabase } from "../support/database.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const { held, complete, upload } = claudeCompletions(db, api);
const R = "/api/runtime";
const metrics = { duration_ms: 5 };

beforeEach(() => query("truncate workers, runtime_accounts"));

describe("output_schema", () => {
  const HAIKU = {
    type: "object",
    properties: { lines: { type: "array", items: { type: "string" }, minItems: 3 } },
    required: ["lines"],
    additionalProperties: false,
  };
  const create = (output_schema: unknown) =>
    api.post(`${R}/llm-tasks`).send({ context_id: "c", agent_slug: "a", prompt: "p", output_schema });
  const succeed = async (id: string, output: string | null, more: object = {}) =>
    (
      await api
        .post(`${R}/llm-tasks/${id}/complete`)
        .send({ status: "success", output, metrics, ...more })
        .expect(200)
    ).body;

  it.each([
    ["the output fits", '{"lines": ["a", "b", "c"]}', undefined],
    [
      "it does not",
      '{"lines": [1, "b"], "x": 1}',
      /must NOT have fewer than 3 items; .*must be string.*\(x\)|\(x\).*must be string/,
    ],
    ["it is no JSON", "Here it is: {}", /not JSON/],
    ["there is none", null, /not one of/],
  ])("decides on a success: %s", async (_what, output, fault) => {
    const { id } = await held({ output_schema: HAIKU });
    const { task, artifact } = await succeed(id, output);
    expect([task.status, task.error_kind]).toEqual(fault ? ["failed", "parse_error"] : ["completed", null]);
    if (fault) expect(task.last_error).toMatch(fault);
    expect(artifact.content).toBe(output);
  });

  it("decides on what a CLI answered, and on an upload", async () => {
    const cli = await held({ output_schema: HAIKU });
    const result = { type: "result", subtype: "success", structured_output: { lines: ["a", "b", "c"] } };
    const { task } = (await complete(cli.id, { output: printed.lines(result), exit_code: 0 }).expect(200)).body;
    expect(task.status).toBe("completed");
    const { id, lease_id } = await held({ output_schema: HAIKU });
    const output_id = await upload(id, lease_id, Buffer.from('{"lines": []}'));
    expect((await succeed(id, null, { output_id, lease_id })).task.error_kind).toBe("parse_error");
  });

  it.each([
    ["a type that is none", { type: "objekt" }, "must be"],
    ["a pattern that is none", { properties: { a: { pattern: "(" } } }, "regular expression"],
    ["a schema elsewhere", { $ref: "http://127.0.0.1:1/schema" }, "resolve reference"],
    ["a draft that is not known", { $schema: "http://x.example/draft" }, "schema"],
    ["more than 64 KB", { description: "x".repeat(65_536) }, "65536 bytes"],
    ["no object", [], "must be an object"],
    ["of a draft that cannot be a text", { $schema: { toString: 1 } }, "$schema must be a string"],
    ["asynchronous", { $async: true, type: "string" }, "asynchronous"],
  ])("is refused when it is %s", async (_what, schema, why) => {
    const { error } = (await create(schema).expect(400)).body;
    expect(error.fieldErrors.output_schema.join()).toContain(why);
  });

  it("may be of the draft of 2020, and say nothing", async () => {
    const tuple = { $schema: "https://json-schema.org/draft/2020-12/schema", prefixItems: [{ type: "string" }] };
    const { id } = await held({ output_schema: tuple });
    expect((await succeed(id, "[1]")).task.error_kind).toBe("parse_error");
    await create({}).expect(201);
  });

  it("does not keep others' completions waiting for those that take long to check", async () => {
    const evil = Array.from({ length: 5 }, () => held({ output_schema: { type: "string", pattern: "^(a+)+$" } }));
    const ids = (await Promise.all(evil)).map(({ id }) => id);
    const { id } = await held({ output_schema: { type: "string" } });
    const slow = Promise.allSettled(ids.map((each) => succeed(each, JSON.stringify(`${"a".repeat(50)}b`))));
    const since = performance.now();
    expect((await succeed(id, '"fine"')).task.status).toBe("completed");
    // All of them, one after the other, take 15 s.
    expect(performance.now() - since).toBeLessThan(10_000);
    await slow;
  }, 90_000);

  it("keeps nobody waiting but the completion of its own task, even when its patterns never end", async () => {
    const { id } = await held({ output_schema: { type: "string", pattern: "^(a+)+$" } });
    const slow = succeed(id, JSON.stringify(`${"a".repeat(50)}b`));
    await api.get(`${R}/llm-tasks/${id}`).expect(200);
    const { task } = await slow;
    expect(task).toMatchObject({ status: "failed", error_kind: "invalid_input" });
    expect(task.last_error).toContain("longer than 3 s");
    await create({ type: "string" }).expect(201);
  }, 30_000);
});
