/** The calls of a worker without JSON: with a query, a form, and text. */
import { describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const R = "/api/runtime";
const TEXT = "text/plain";

async function register(name: string): Promise<void> {
  await api.post(`${R}/workers`).type("form").send({ name, labels: name }).expect(201);
}

/** A task that only the worker `name` gets, claimed by it as text. */
async function claimAsText(name: string, fields: object = {}) {
  const task = { context_id: "garden", agent_slug: "writer", prompt: "p", requires: [name], ...fields };
  await api.post(`${R}/llm-tasks`).send(task).expect(201);
  await register(name);
  return api.post(`${R}/llm-tasks/claim`).query({ worker_id: name }).set("Accept", TEXT).expect(200);
}

const idsOf = ({ headers }: { headers: Record<string, string> }) => ({
  id: headers["x-bloom-task-id"] ?? "",
  lease_id: headers["x-bloom-lease-id"] ?? "",
});
const taskOf = async (id: string) => (await api.get(`${R}/llm-tasks/${id}`).expect(200)).body;
const resultOf = async (id: string) => (await api.get(`${R}/llm-tasks/${id}/results`).expect(200)).body[0];

describe("a claim that accepts text", () => {
  it("has the prompt as its body and the fields as headers that nothing breaks out of", async () => {
    const prompt = 'Say "hi"\r\n\r\n\tпривіт 🌱\u0001\n';
    const answer = await claimAsText("plain-claim", {
      prompt,
      context_id: "a b\r\nX-Bloom-Task-Id: forged",
      context_hints: ["one", "two"],
      policy: { timeout_sec: 60.5, budget: 0.25 },
      desired_format: "json",
    });
    expect([answer.text, answer.type]).toEqual([prompt, TEXT]);
    const { id, lease_id } = idsOf(answer);
    expect(await taskOf(id)).toMatchObject({ status: "leased", lease_id });
    expect(answer.headers).toMatchObject({
      "x-bloom-context-id": "a%20b%0D%0AX-Bloom-Task-Id%3A%20forged",
      "x-bloom-agent-slug": "writer",
      "x-bloom-desired-format": "json",
      "x-bloom-timeout-sec": "60.5",
      "x-bloom-budget": "0.25",
      "x-bloom-attempt": "1",
      "x-bloom-ttl-seconds": "300",
      "x-bloom-inputs": "context_hints",
    });
    const hints = await api.get(`${R}/llm-tasks/${id}/input/context_hints`).expect(200);
    expect([hints.text, hints.type]).toEqual(["one\ntwo", TEXT]);
    expect((await api.get(`${R}/llm-tasks/${id}/input/toString`).expect(404)).body.error).toContain("context_hints");
  });

  it("is 204 without a task, takes one only, and stays JSON for whoever takes anything", async () => {
    await register("plain-idle");
    const ask = (fields: object, accept: string) =>
      api
        .post(`${R}/llm-tasks/claim`)
        .type("form")
        .send({ worker_id: "plain-idle", ...fields })
        .set("Accept", accept);
    await ask({}, TEXT).expect(204);
    expect((await ask({ max_tasks: 2 }, TEXT).expect(400)).body.error).toContain("one task");
    await api.post(`${R}/llm-tasks`).send({ context_id: "c", agent_slug: "a", prompt: "p", requires: ["plain-idle"] });
    expect((await ask({ ttl_seconds: 90 }, "*/*").expect(200)).body.tasks[0].lease.ttl_seconds).toBe(90);
  });
});

describe("a completion in text", () => {
  it("takes the output as its body, to the byte, and goes the way of one in JSON", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-done"));
    const output = 'Zeile "1"\r\n\tдва 🌱\u0001\n';
    const complete = () =>
      api
        .post(`${R}/llm-tasks/${id}/complete`)
        .query({ status: "success", lease_id, duration_ms: 12, tokens_used: 3, artifact_tags: ["a", "b"] })
        .type(TEXT)
        .set("Accept", TEXT)
        .send(output);
    const first = await complete().expect(200);
    expect(first.headers).toMatchObject({ "x-bloom-task-status": "completed", "x-bloom-runtime": "1" });
    expect((await complete().expect(200)).headers["x-bloom-result-id"]).toBe(first.headers["x-bloom-result-id"]);
    expect(await resultOf(id)).toMatchObject({ output, metrics: { duration_ms: 12, tokens_used: 3 } });
    const [artifact] = await query("select tags from runtime_artifacts where task_id = $1", [id]);
    expect(artifact).toEqual({ tags: ["a", "b"] });
  });

  it("is refused by the very same checks", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-refused"));
    const complete = (fields: object, type = TEXT, body: string | Buffer = "out") =>
      api.post(`${R}/llm-tasks/${id}/complete`).query(fields).type(type).send(body);
    const ok = { status: "success", duration_ms: 1, lease_id };
    const errorOf = async (fields: object) => (await complete(fields).expect(400)).body.error.fieldErrors;
    expect(await errorOf({ duration_ms: 1, lease_id })).toHaveProperty("status");
    expect(await errorOf({ ...ok, duration_ms: "soon" })).toHaveProperty("metrics");
    expect((await complete({ ...ok, colour: "red" }).expect(400)).body.error).toContain("colour");
    for (const bytes of [Buffer.from([0xcf, 0xf0]), Buffer.from("a\0b")])
      expect((await complete(ok, TEXT, bytes).expect(400)).body.error).toContain("output_id");
    await complete(ok, "text/html").expect(415);
    await complete({ ...ok, lease_id: "another" }).expect(409);
    expect((await taskOf(id)).status).toBe("leased");
  });

  it("names an upload in place of a body, and carries what a failed command said in any bytes", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-failed"));
    const upload = await api
      .put(`${R}/llm-tasks/${id}/output`)
      .set({ "X-Lease-Id": lease_id, Accept: TEXT, "Content-Type": "application/octet-stream" })
      .send(Buffer.from("half"))
      .expect(201);
    await api
      .post(`${R}/llm-tasks/${id}/complete`)
      .type("form")
      .send(
        `status=error&duration_ms=5&lease_id=${lease_id}&output_id=${upload.headers["x-bloom-output-id"]}&error_message=no%20disk%FF`,
      )
      .expect(200);
    expect(await resultOf(id)).toMatchObject({ status: "error", output: "half", error_message: "no disk\ufffd" });
  });
});

describe("a form", () => {
  const complete = (id: string, form: string) => api.post(`${R}/llm-tasks/${id}/complete`).type("form").send(form);

  it("has a space for each plus, and a plus for %2B", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-plus"));
    await complete(id, `status=success&duration_ms=1&lease_id=${lease_id}&output=+1+%2B%20é++`).expect(200);
    expect(await resultOf(id)).toMatchObject({ output: " 1 + é  " });
  });

  it("full of pluses takes no longer than one of letters", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-pluses"));
    const forms = ["a", "+"].map((each) => `lease_id=${lease_id}&output=${each.repeat(9_900_000)}`);
    const ratio = async () => {
      const times: number[] = [];
      for (const form of forms) {
        const started = performance.now();
        await complete(id, form).expect(400);
        times.push(performance.now() - started);
      }
      const [letters = 0, pluses = 0] = times;
      return pluses / letters;
    };
    // Other tests run beside it. With the pluses left to URLSearchParams, the ratio was 13.
    await expect.poll(ratio, { timeout: 15_000 }).toBeLessThan(3);
  });
});

describe("the other calls of a worker", () => {
  it("heartbeat and release take a query or a form", async () => {
    const { id, lease_id } = idsOf(await claimAsText("plain-beat"));
    const beat = await api.post(`${R}/llm-tasks/${id}/heartbeat`).query({ lease_id }).set("Accept", TEXT).expect(200);
    expect(beat.headers).toMatchObject({ "x-bloom-cancel": "false", "x-bloom-next-heartbeat-ms": "10000" });
    const release = (fields: object) =>
      api
        .post(`${R}/llm-tasks/${id}/release`)
        .type("form")
        .send({ lease_id, ...fields });
    await release({}).expect(409);
    await release({ reason: "its command is gone", started: "true" }).expect(200);
    expect(await taskOf(id)).toMatchObject({ status: "queued", attempts: 0, lease_id: null });
  });

  it("registers with labels, several or none", async () => {
    const labelsOf = async (form: string) =>
      (await api.post(`${R}/workers`).type("form").send(`name=plain-reg&max_concurrency=2&${form}`)).body.capabilities;
    expect(await labelsOf("labels=a&labels=b")).toMatchObject({ labels: ["a", "b"], max_concurrency: 2 });
    expect(await labelsOf("labels=")).toMatchObject({ labels: [] });
  });

  it("are refused to a page in a browser, which may send forms anywhere without asking", async () => {
    const fromPage = api.post(`${R}/workers`).type("form").set("Origin", "http://evil.example").send({ name: "evil" });
    await fromPage.expect(415);
    await api.post(`${R}/workers?name=evil`).set("Origin", "http://evil.example").expect(400);
    expect(await query("select 1 from workers where id = 'evil'")).toEqual([]);
  });
});
