/** Texts that take six times their bytes in JSON: what is sent at a time, and kept in a row, is bounded by what it takes there. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openPage } from "../../src/db/pages.ts";
import { artifactsOf } from "../../src/queue/artifacts.ts";
import { resultsOf } from "../../src/queue/result-list.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const { api, url } = await startApp(db);
const R = "/api/runtime";
const TASKS = `${R}/llm-tasks`;
const controls = (count: number) => "\u0001".repeat(count);
const done = { status: "success", metrics: { duration_ms: 1 } };

async function anUpload(text: string, fields: object) {
  const { task, lease } = await aLeasedTask(db);
  const headers = { "X-Lease-Id": lease.id };
  const sent = await fetch(`${url}${TASKS}/${task.id}/output`, { method: "PUT", headers, body: text });
  const { output_id } = (await sent.json()) as { output_id: string };
  const completion = { ...done, output_id, lease_id: lease.id, ...fields };
  const { body } = await api.post(`${TASKS}/${task.id}/complete`).send(completion).expect(200);
  return body;
}

/** The sizes of the batches of a page in JSON, and whether another page follows. */
async function batchesOf(source: Parameters<typeof openPage>[1]) {
  const { first, following, next } = await openPage(db, source, { limit: 500 });
  const sizes = first === "" ? [] : [first.length];
  for await (const batch of following ?? []) sizes.push(batch.length);
  return { sizes, all: sizes.reduce((sum, size) => sum + size, 0), hasNext: next !== undefined };
}

describe("a page of records whose JSON is six times their text", () => {
  it("is 8 MB of artifacts at most, in batches of 1 MB", async () => {
    for (let n = 0; n < 20; n++) await anUpload(controls(80_000), { artifact_type: "ESCAPED" });
    const { sizes, all, hasNext } = await batchesOf(artifactsOf({ type: "ESCAPED" }));
    expect(hasNext).toBe(true);
    expect(all).toBeLessThan(8_000_000);
    expect(all).toBeGreaterThan(7_000_000);
    expect(Math.max(...sizes)).toBeLessThan(1_000_000);
  });

  it("is bounded for artifacts of earlier versions too, whose JSON nobody counted", async () => {
    await query(
      `insert into runtime_artifacts (id, task_id, type, created_at, finalized, content)
        select gen_random_uuid(), $1, 'OLD', n, true, repeat(chr(1), 400000) from generate_series(1, 5) n`,
      [randomUUID()],
    );
    const { all, hasNext } = await batchesOf(artifactsOf({ type: "OLD" }));
    expect([hasNext, all > 7_000_000, all < 8_000_000]).toEqual([true, true, true]);
  });

  it("is 8 MB of results at most, whose outputs and messages are counted", async () => {
    const { task } = await anUpload(controls(400_000), {});
    await query(
      `insert into llm_results (id, task_id, worker_id, artifact_id, status, error_message, metrics, completed_at)
        select gen_random_uuid(), $1, 'w', gen_random_uuid(), 'error', repeat(chr(1), 400000), '{}', n from generate_series(1, 5) n`,
      [task.id],
    );
    const { all, hasNext } = await batchesOf(resultsOf(db, task.id));
    expect([hasNext, all > 7_000_000, all < 8_000_000]).toEqual([true, true, true]);
    const slim = await batchesOf(resultsOf(db, task.id, {}, true));
    expect([slim.hasNext, slim.all < 8_000_000]).toEqual([true, true]);
  });

  it("has as many ordinary records as before", async () => {
    const text = "A line with some words, and its end.\n".repeat(2_700);
    for (let n = 0; n < 20; n++) await anUpload(text, { artifact_type: "ORDINARY" });
    const { body, headers } = await api.get(`${R}/artifacts?type=ORDINARY&limit=500`).expect(200);
    expect([body.length, headers.link]).toEqual([20, undefined]);
  });
});

describe("an output that would be far larger in JSON", () => {
  it("is kept as its bytes where it was uploaded, and not in answers", async () => {
    const { artifact, result } = await anUpload(controls(4_000_000), {});
    expect([artifact.content, result.output, artifact.size_bytes]).toEqual([null, null, 4_000_000]);
    expect(artifact).not.toHaveProperty("content_json_bytes");
    const content = await fetch(`${url}${R}/artifacts/${artifact.id}/content`);
    expect(Buffer.from(await content.arrayBuffer()).equals(Buffer.from(controls(4_000_000)))).toBe(true);
  });

  it("is in the answer where it is ordinary text of 10 MB", async () => {
    const text = 'Some "quoted" words in a line that is as long as most.\n'.repeat(180_000);
    expect((await anUpload(text, {})).artifact.content === text).toBe(true);
  });

  it("is refused as a body of text, which says how it is sent instead", async () => {
    const { task, lease } = await aLeasedTask(db);
    const complete = (text: string) =>
      api
        .post(`${TASKS}/${task.id}/complete?status=success&duration_ms=1&lease_id=${lease.id}`)
        .type("text/plain")
        .send(text);
    expect((await complete(controls(4_000_000)).expect(413)).body.error).toBe(
      "The output has so many control characters that it is too large in JSON. Upload it as it is (PUT .../output), and name it as output_id.",
    );
    await complete("\n".repeat(9_000_000)).expect(200);
  });
});
