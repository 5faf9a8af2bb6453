import { expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, completion } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, query } = await createTestDatabase();
const { api, url } = await startApp(db);
const R = "/api/runtime";
const MB = 1024 * 1024;

async function anArtifact(bytes: number): Promise<string> {
  const { task, lease } = await aLeasedTask(db);
  const path = `${R}/llm-tasks/${task.id}`;
  const uploaded = await fetch(`${url}${path}/output`, {
    method: "PUT",
    headers: { "X-Lease-Id": lease.id },
    body: new Uint8Array(bytes).fill(0xff),
  });
  const { output_id } = (await uploaded.json()) as { output_id: string };
  const { output, ...done } = completion();
  const { body } = await api.post(`${path}/complete`).send({ ...done, output_id, lease_id: lease.id });
  return `${R}/artifacts/${body.artifact.id}/content`;
}

it("many requests for a part of a large artifact are answered in turns, and leave the pool to other calls", async () => {
  const path = await anArtifact(MB);
  const commit = await holdTransaction(db, "lock table runtime_output_chunks in access exclusive mode");
  const answers: Response[] = [];
  const reads = Array.from({ length: 120 }, async () => {
    const answer = await fetch(url + path, { headers: { range: "bytes=0-0" } });
    answers.push(answer);
    return answer.status;
  });
  await eventually(() => expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 503)));
  expect(answers[0]?.headers.get("retry-after")).toBe("2");
  const small = await aLeasedTask(db);
  const { body } = await api.post(`${R}/llm-tasks/${small.task.id}/complete`).send(completion()).expect(200);
  await api.get(`${R}/artifacts/${body.artifact.id}/content`).expect(200);
  await commit();
  expect((await Promise.all(reads)).filter((status) => status === 206)).toHaveLength(100);
});

it("a large artifact in PostgreSQL is read once, and one that is damaged nevertheless is not sent whole, and audited", async () => {
  const path = await anArtifact(2 * MB);
  const [, id] = /artifacts\/(.*)\/content/.exec(path) ?? [];
  await query("alter table runtime_output_chunks disable trigger user");
  await query(
    "update runtime_output_chunks set data = overlay(data placing '\\x00' from 1) where output_id = $1 and seq = 0",
    [id],
  );
  await query("alter table runtime_output_chunks enable trigger user");
  const answer = await fetch(url + path);
  // With a look at all of it before, this would be 502.
  expect([answer.status, answer.headers.get("content-length")]).toEqual([200, String(2 * MB)]);
  await expect(answer.arrayBuffer()).rejects.toThrow();
  const audited = await query("select 1 from audit_logs where entity_id = $1 and action = 'artifact_damaged'", [id]);
  expect(audited).toHaveLength(1);
});
