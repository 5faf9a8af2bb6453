/** Calls of one kind that travel together: what becomes of each of them, whatever becomes of the others. */
import { randomUUID } from "node:crypto";
import { expect, it, vi } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { cancelTask } from "../../src/queue/cancel.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { getTask } from "../../src/queue/tasks.ts";
import { inDatabase } from "../support/artifact-stores.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, completion } from "../support/factories.ts";
import { lock } from "../support/lock.ts";

const { db, query } = await createTestDatabase();

/** Runs the calls so that all but the first two are in one set, and gives what became of them, in their order. */
async function together<T>(calls: (() => Promise<T>)[]): Promise<PromiseSettledResult<T>[]> {
  const unlock = await lock(db, "lock table leases, llm_tasks in share mode");
  const settled = Promise.allSettled(calls.map((call) => call()));
  await unlock();
  return await settled;
}
const reasons = (settled: PromiseSettledResult<unknown>[]) =>
  settled.map((each) => (each.status === "rejected" ? String(each.reason.message) : "done"));
const leased = (count: number, fields: object = {}) =>
  Promise.all(Array.from({ length: count }, () => aLeasedTask(db, fields)));
const commitsOf = (ids: string[]) =>
  query("select xmin::text from leases where task_id = any($1)", [ids]).then(
    (rows) => new Set(rows.map(({ xmin }) => xmin)).size,
  );

it("each heartbeat gets its own lease or its own refusal, and one whose task is locked keeps nobody waiting", async () => {
  const held = await leased(12);
  const [, , stale, locked, cancelled, twice] = held;
  if (!stale || !locked || !cancelled || !twice) throw new Error("Too few.");
  const queued = await aTask(db);
  await cancelTask(db, NOBODY, cancelled.task.id, "");
  const beat = (id: string, lease_id?: string, text?: string) => () =>
    heartbeat(db, NOBODY, id, { lease_id, progress: text === undefined ? undefined : { value: null, text } });
  const calls = held.map(({ task, lease }, n) => beat(task.id, n === 2 ? randomUUID() : lease.id, `${n}`));
  calls.push(beat(randomUUID()), beat(queued.id), beat("no id"), beat(twice.task.id, undefined, "again"));
  const unlock = await lock(db, `select from llm_tasks where id = '${locked.task.id}' for update`);
  const settled = together(calls);
  const isBeating = "select count(*)::int as n from llm_tasks where status = 'running'";
  await vi.waitFor(async () => expect(await query(isBeating)).toEqual([{ n: 10 }]), 10_000);
  expect((await getTask(db, locked.task.id)).status).toBe("leased");
  await unlock();
  const outcomes = await settled;
  const refusals = reasons(outcomes).flatMap((reason, n) => (reason === "done" ? [] : [[n, reason]]));
  expect(refusals).toEqual([
    [2, expect.stringContaining("does not hold this task")],
    [12, "Task or lease not found"],
    [13, "Task or lease not found"],
    [14, "Task or lease not found"],
  ]);
  for (const [n, each] of outcomes.entries())
    if (each.status === "fulfilled") {
      expect(each.value.lease.id).toBe((held[n] ?? twice).lease.id);
      expect(each.value.cancel).toBe(n === 4);
      expect(Object.keys(each.value.lease)).not.toContain("ordinal");
    }
  for (const n of [0, 3, 11]) expect((await getTask(db, held[n]?.task.id ?? "")).progress?.text).toBe(`${n}`);
  expect(await commitsOf(held.filter((_, n) => ![0, 1, 2, 3, 5].includes(n)).map(({ task }) => task.id))).toBe(1);
});

it("each completion gets its own answer, and its own rows", async () => {
  const held = await leased(12);
  const [, , failing, retrying, cancelled, locked, twice, other] = held;
  if (!failing || !retrying || !cancelled || !locked || !twice || !other) throw new Error("Too few.");
  await query('update llm_tasks set retry = \'{"base_delay_sec": 1, "max_delay_sec": 2}\' where id = $1', [
    retrying.task.id,
  ]);
  await cancelTask(db, NOBODY, cancelled.task.id, "");
  const fields: Record<number, object> = {
    2: { status: "error", output: null, error_message: "It broke." },
    3: { status: "error", output: null, error_message: "Again." },
    8: { output: "ü \\ \" ' {a,b} \u2028 \n", artifact_tags: ['"', "\\"], artifact_type: "T" },
    9: { output: null },
    10: { output: "x".repeat(300_000) },
  };
  const complete =
    (n: number, more: object = {}) =>
    () => {
      const { task, lease } = held[n] ?? twice;
      const sent = completion({ output: `output ${n}`, lease_id: lease.id, ...fields[n], ...more });
      return completeTask(db, NOBODY, inDatabase, task.id, sent);
    };
  const calls = [...held.keys()].map((n) => complete(n));
  calls.push(complete(6), complete(7, { output: "another" }), () =>
    completeTask(db, NOBODY, inDatabase, randomUUID(), completion()),
  );
  const unlock = await lock(db, `select from llm_tasks where id = '${locked.task.id}' for update`);
  const settled = together(calls);
  const isDone = "select count(*)::int as n from llm_tasks where id = any($1) and status not in ('leased', 'running')";
  await vi.waitFor(
    async () => expect(await query(isDone, [held.map(({ task }) => task.id)])).toEqual([{ n: 11 }]),
    10_000,
  );
  await unlock();
  const outcomes = await settled;
  const [seventh, other7] = [outcomes[7], outcomes[13]].map((each) => each?.status);
  expect([seventh, other7].toSorted()).toEqual(["fulfilled", "rejected"]);
  expect(reasons(outcomes).filter((_, n) => n !== 7 && n !== 13)).toEqual([
    ...Array.from({ length: 12 }, () => "done"),
    "Task not found",
  ]);
  const answers = outcomes.map((each) => (each.status === "fulfilled" ? each.value : undefined));
  const statuses = answers.slice(0, 12).map((answer) => answer?.task.status ?? "completed");
  expect(statuses).toEqual(held.map((_, n) => ({ 2: "failed", 3: "queued", 4: "cancelled" })[n] ?? "completed"));
  expect(answers[12]).toEqual(answers[6]);
  for (const [n, answer] of answers.slice(0, 12).entries()) {
    if (!answer || n === 7) continue;
    expect(answer.task).toEqual({
      ...(await getTask(db, held[n]?.task.id ?? "")),
      ...(n === 3 && { status: "queued" }),
    });
    const [row] = await query(
      "select id, content, type, tags, size_bytes::int, sha256, content_type, task_id from runtime_artifacts where id = $1",
      [answer.artifact.id],
    );
    const { id, content, type, tags, size_bytes, sha256, content_type, task_id } = answer.artifact;
    expect(row).toEqual({ id, content, type, tags, size_bytes, sha256, content_type, task_id });
    const [result] = await query(
      "select id, artifact_id, worker_id, lease_id, status, metrics from llm_results where id = $1",
      [answer.result.id],
    );
    const said = answer.result;
    expect(result).toEqual({
      id: said.id,
      artifact_id: id,
      worker_id: said.worker_id,
      lease_id: held[n]?.lease.id,
      status: said.status,
      metrics: said.metrics,
    });
    const entries = await query(
      "select actor, detail from audit_logs where action = 'task_completed' and entity_id = $1",
      [task_id],
    );
    expect(entries).toEqual([{ actor: held[n]?.worker.id, detail: expect.stringContaining(id) }]);
  }
  expect(await commitsOf([2, 8, 9].map((n) => held[n]?.task.id ?? ""))).toBe(1);
});

it("a completion that the database refuses leaves no trace, and its neighbours are complete", async () => {
  const held = await leased(8);
  await query(
    "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'No.' using errcode = '22000'; end $$",
  );
  await query(
    "create trigger refuse before insert on llm_results for each row when (new.error_message = 'poison') execute function refuse()",
  );
  const calls = held.map(
    ({ task, lease }, n) =>
      () =>
        completeTask(
          db,
          NOBODY,
          inDatabase,
          task.id,
          completion({
            lease_id: lease.id,
            error_message: n === 4 ? "poison" : null,
            metrics: { duration_ms: 1, input_tokens: n },
          }),
        ),
  );
  const outcomes = await together(calls);
  await query("drop trigger refuse on llm_results");
  expect(reasons(outcomes)).toEqual(held.map((_, n) => (n === 4 ? "No." : "done")));
  for (const [n, { task, lease }] of held.entries()) {
    const now = await getTask(db, task.id);
    expect([now.status, now.usage?.input_tokens]).toEqual(n === 4 ? ["leased", undefined] : ["completed", n]);
    const [row] = await query("select status from leases where id = $1", [lease.id]);
    expect(row).toEqual({ status: n === 4 ? "active" : "released" });
  }
  const [poisoned] = held.slice(4);
  expect(await query("select id from runtime_artifacts where task_id = $1", [poisoned?.task.id])).toEqual([]);
});
