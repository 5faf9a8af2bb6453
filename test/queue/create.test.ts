import { randomInt, randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { createTaskBody } from "../../src/contract/create-task.ts";
import { Conflict, Unavailable } from "../../src/errors.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { createTask, finishCreation, newTask } from "../../src/queue/create.ts";
import { createTasks, type KeyedRequest } from "../../src/queue/create-many.ts";
import { getTask } from "../../src/queue/get-task.ts";
import { jsonBytesOf } from "../../src/queue/request-bytes.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aWorker, completion, leaseTo } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { inDatabase } from "../support/output-storage.ts";

const { db, query } = await createTestDatabase();
const request = (fields = {}) =>
  createTaskBody.parse({ context_id: "garden", agent_slug: "writer", prompt: "Write a haiku.", ...fields });

it("a task's size is that of its request as JSON, whatever the prompt is made of", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.string({ minLength: 1 }), (prompt, context_id) => {
      const asked = { ...request(), prompt, context_id };
      expect(jsonBytesOf(asked)).toBe(Buffer.byteLength(JSON.stringify(asked)));
    }),
  );
});

it("a task may have all labels, the longest agent and the longest concurrency key at once, which indexes hold together", async () => {
  // Characters of three bytes that do not compress.
  const long = () => String.fromCharCode(...Array.from({ length: 256 }, () => 0x4e00 + randomInt(20_000)));
  const labels = (of: string) => Array.from({ length: 100 }, (_, n) => `${of}${n}`.padEnd(128, "x"));
  const policy = { required_labels: labels("b") };
  const asked = request({
    requires: labels("a"),
    policy,
    agent_slug: long(),
    concurrency_key: long(),
    not_before: 1,
    priority: 9,
  });
  expect((await createTask(db, NOBODY, asked)).task.requires).toHaveLength(200);
});

describe("the same creation again", () => {
  it("100 times at the same moment makes one task", async () => {
    const key = randomUUID();
    const all = await Promise.all(Array.from({ length: 100 }, () => createTask(db, NOBODY, request(), key)));
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(all.map(({ task }) => task.id)).size).toBe(1);
    expect(await query("select id from llm_tasks where idempotency_key = $1", [key])).toHaveLength(1);
    const entries = "select id from audit_logs where action = 'task_created' and entity_id = $1";
    expect(await query(entries, [all[0]?.task.id])).toHaveLength(1);
  });

  it("gives the task as it is now", async () => {
    const fields = { context_hints: ["a", "b"], policy: { timeout_sec: 1.5, budget: -0 }, max_attempts: 1 };
    const { task } = await createTask(db, NOBODY, request(fields), "as it is now");
    const { id } = await aWorker(db);
    await leaseTo(db, task.id, id);
    const again = await createTask(db, NOBODY, request(fields), "as it is now");
    expect(again).toMatchObject({ isNew: false, task: { id: task.id, status: "leased", worker_id: id } });
  });

  it("gives the task also when it was put back into the queue: what was requested stays known", async () => {
    const { id: worker_id } = await aWorker(db, { capabilities: { max_concurrency: 9 } });
    for (const fields of [{}, { not_before: 7 }]) {
      const asked = request({ ...fields, retry: { max_attempts: 2 } });
      const key = randomUUID();
      const { task } = await createTask(db, NOBODY, asked, key);
      const again = async () => (await createTask(db, NOBODY, asked, key)).task;
      const fail = async () => {
        await leaseTo(db, task.id, worker_id);
        await completeTask(db, NOBODY, inDatabase, task.id, completion({ status: "error" }));
      };
      await fail();
      expect(await again()).toMatchObject({ id: task.id, status: "queued", attempts: 1, ...fields });
      await query("update llm_tasks set retry_at = 1 where id = $1", [task.id]);
      await fail();
      expect(await again()).toMatchObject({ id: task.id, status: "dead" });
      await requeueTask(db, NOBODY, task.id);
      expect(await again()).toMatchObject({ id: task.id, status: "queued", attempts: 0, retry_at: null });
      await expect(createTask(db, NOBODY, { ...asked, not_before: 8 }, key)).rejects.toThrow(
        "was used for another request",
      );
    }
  });

  it.each(Object.entries({ prompt: "Another.", context_hints: ["x"], policy: { timeout_sec: 60 }, max_attempts: 2 }))(
    "with another %s is refused, and makes nothing",
    async (field, value) => {
      const key = `another ${field}`;
      await createTask(db, NOBODY, request(), key);
      await expect(createTask(db, NOBODY, request({ [field]: value }), key)).rejects.toThrow(
        "was used for another request",
      );
      expect(await query("select id from llm_tasks where idempotency_key = $1", [key])).toHaveLength(1);
    },
  );

  it("makes a new task where the first is removed between the insert, which met its key, and the look at it", async () => {
    const made = newTask(NOBODY, request(), randomUUID());
    // The key was taken, so that the insert gave no row; now its task is gone.
    const { task, isNew } = await finishCreation(db, request(), made, undefined);
    expect([isNew, task]).toEqual([true, await getTask(db, made.id)]);
    expect(await finishCreation(db, request(), { ...made, id: randomUUID() }, undefined)).toEqual({
      task,
      isNew: false,
    });
  });

  it("without a key makes another task", async () => {
    const [one, two] = [await createTask(db, NOBODY, request()), await createTask(db, NOBODY, request())];
    expect([one.isNew, two.isNew, one.task.id === two.task.id]).toEqual([true, true, false]);
  });
});

describe("many creations in a batch", () => {
  const check = async (task: unknown) => task as KeyedRequest;
  const wanted = (fields = {}, idempotencyKey: string | null = null) => ({ request: request(fields), idempotencyKey });

  it("have each their task, their entries and their verdict, in their order", async () => {
    const [key, other] = [randomUUID(), randomUUID()];
    const sent = [
      wanted({}, key),
      ...Array.from({ length: 66 }, (_, n) => wanted({ prompt: `${n}` })),
      wanted({}, key),
    ];
    sent.splice(5, 0, wanted({}, other), wanted({ prompt: "Another." }, other));
    // The database refuses this one, which would not get past the schema. The requests of its batch are then sent again one after the other,
    // so that the first of the two with the other key still makes the task.
    sent.splice(9, 0, { ...wanted(), request: { ...request(), priority: 2 ** 40 } });
    const outcomes = await createTasks(db, NOBODY, sent, check);
    const kinds = outcomes.map((each) => (each.status === "rejected" ? each.reason : each.value.isNew));
    const odd = kinds.flatMap((kind, n) => (kind === true ? [] : [[n, kind]]));
    expect(odd).toEqual([
      [6, expect.objectContaining({ message: expect.stringContaining("was used for another request") })],
      [9, expect.objectContaining({ code: "22003" })],
      [70, false],
    ]);
    const tasks = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value.task] : []));
    expect(tasks.map(({ prompt }) => prompt)).toEqual(
      sent.filter((_, n) => n !== 6 && n !== 9).map((each) => each.request.prompt),
    );
    for (const n of [0, 7, 40, 67]) expect(tasks[n]).toEqual(await getTask(db, tasks[n]?.id ?? ""));
    const ids = [...new Set(tasks.map(({ id }) => id))];
    expect(ids).toHaveLength(68);
    const entries = await query<{ entity_id: string }>(
      "select entity_id from audit_logs where action = 'task_created' and entity_id = any($1) order by seq",
      [ids],
    );
    // The tasks of the batch that failed were created one by one.
    expect(entries.map(({ entity_id }) => entity_id).toSorted()).toEqual(ids.toSorted());
    const whole = await query("select detail, actor from audit_logs where action = 'tasks_created'");
    expect(whole).toEqual([{ detail: "68 of 71 tasks of one call", actor: "api" }]);
  });

  it("are written in their order, also to the audit", async () => {
    const outcomes = await createTasks(
      db,
      NOBODY,
      Array.from({ length: 64 }, () => wanted({}, randomUUID())),
      check,
    );
    const ids = outcomes.map((each) => each.status === "fulfilled" && each.value.task.id);
    const entries = await query<{ entity_id: string; xid: string }>(
      "select entity_id, xid::text from audit_logs where action = 'task_created' and entity_id = any($1) order by seq",
      [ids],
    );
    expect(entries.map(({ entity_id }) => entity_id)).toEqual(ids);
    expect(new Set(entries.map(({ xid }) => xid)).size).toBe(1);
  });

  it("are checked in turns with those of other calls, so that others are served in between", async () => {
    const CHECK_MS = 4;
    let checked = 0;
    const busy = async () => {
      checked += 1;
      const until = performance.now() + CHECK_MS;
      while (performance.now() < until);
      throw new Conflict("It is wrong.");
    };
    let isOver = false;
    const calls = Promise.all(Array.from({ length: 10 }, () => createTasks(db, NOBODY, Array(50).fill({}), busy)));
    void calls.finally(() => {
      isOver = true;
    });
    let most = 0;
    for (let seen = checked; !isOver; seen = checked) {
      await nextTurn();
      most = Math.max(most, checked - seen);
    }
    for (const outcomes of await calls) expect(outcomes).toHaveLength(50);
    // What fits into 15 ms, and not the 50 of a call or the 500 of all.
    expect(most).toBeLessThanOrEqual(5);
  });

  it("that could not be checked for now are left out with those behind them, and the others are there", async () => {
    const checkUntil = (last: number) => {
      let n = 0;
      return async (sent: unknown) => {
        if (n++ >= last) throw new Unavailable("Too many wait.");
        return await check(sent);
      };
    };
    const sent = Array.from({ length: 70 }, () => wanted());
    const outcomes = await createTasks(db, NOBODY, sent, checkUntil(3));
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array(3).fill("fulfilled"),
      ...Array(67).fill("rejected"),
    ]);
    await expect(createTasks(db, NOBODY, sent, checkUntil(0))).rejects.toThrow("Too many wait.");
  });

  it("do not wait for one whose key is just being used by another call", async () => {
    const key = randomUUID();
    const commit = await holdTransaction(db, (tx) => createTask(tx, NOBODY, request(), key));
    const both = createTasks(db, NOBODY, [wanted({}, key), wanted({ prompt: "the neighbour" })], check);
    await eventually(async () =>
      expect(await query("select id from llm_tasks where prompt = 'the neighbour'")).toHaveLength(1),
    );
    const first = await commit();
    const [same] = await both;
    expect(same).toMatchObject({ value: { isNew: false, task: { id: first?.task.id } } });
  });
});

it("answers the task as it is stored", async () => {
  const asked = request({
    context_hints: ["a"],
    policy: { timeout_sec: 5, budget: { usd: 1 } },
    desired_format: "markdown",
    max_attempts: 2,
    requires: ["gpu"],
    not_before: 7,
    retry: { base_delay_sec: 1, max_delay_sec: 2 },
    agent_kind: "text",
    structured_input: { a: [1] },
    attachments: [{ type: "inline", mime_type: "text/plain", content: "x" }],
    tracing: { trace_id: "t" },
  });
  const { task } = await createTask(db, NOBODY, asked, randomUUID());
  expect(task).toEqual(await getTask(db, task.id));
});
