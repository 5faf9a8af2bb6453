/** Calls that come at the same moment travel together. What each of them gets is what it would get alone. */
import { beforeEach, describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { completeTask } from "../../src/queue/complete.ts";
import { lockTask } from "../../src/queue/get-task.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { releaseTask } from "../../src/queue/release-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker, completion, leaseTo } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";

const { db, logged, query } = await createTestDatabase();

beforeEach(() => query("truncate workers, runtime_accounts, llm_tasks, leases, llm_results, audit_logs"));

const tasks = (count: number, fields: Record<string, unknown> = {}) =>
  Promise.all(Array.from({ length: count }, () => aTask(db, fields)));
const lease = (task: { id: string }, worker?: string) => leaseTo(db, task.id, worker);
/** Leases all at the same moment; gives the worker of each, or the message of its refusal. */
const leaseAll = async (all: { id: string }[]) => {
  const settled = await Promise.allSettled(all.map((task) => lease(task)));
  return settled.map((each) => (each.status === "fulfilled" ? each.value.worker.id : String(each.reason.message)));
};
/** How many transactions have written the rows of the table. */
const commitsOf = async (table: string) =>
  (await query<{ commits: number }>(`select count(distinct xmin::text)::int as commits from ${table}`))[0]?.commits;
const held = async (count: number) => Promise.all((await tasks(count)).map(async (task) => (await lease(task)).lease));
const NO_ROOM = "No available worker with free capacity";

describe("leases at the same moment", () => {
  it("go to the worker with the most free room each time, up to what all have, in one commit", async () => {
    for (const [name, room] of [
      ["large", 5],
      ["middle", 3],
      ["small", 1],
    ] as const)
      await aWorker(db, { name, capabilities: { max_concurrency: room } });
    const got = await leaseAll(await tasks(11));
    expect(got.slice(0, 2)).toEqual(["large", "large"]);
    expect(got.toSorted()).toEqual([NO_ROOM, NO_ROOM, ...Array(5).fill("large"), ...Array(3).fill("middle"), "small"]);
    expect(await commitsOf("leases")).toBe(1);
  });

  it("of one context go to the same worker, and those of others elsewhere", async () => {
    for (const name of ["one", "two", "three"]) await aWorker(db, { name, capabilities: { max_concurrency: 8 } });
    const first = await aTask(db, { context_id: "first" });
    const [same, others] = [await tasks(4, { context_id: "same" }), await tasks(2)];
    const [, ...got] = await leaseAll([first, ...same, ...others]);
    expect(new Set(got.slice(0, 4)).size).toBe(1);
    expect(got.slice(4)).not.toContain(got[0]);
  });

  it("of one key are one lease, and of the same task too", async () => {
    await aWorker(db, { name: "one", capabilities: { max_concurrency: 8 } });
    const [before, free] = [await aTask(db), await aTask(db)];
    const keyed = await tasks(3, { concurrency_key: "session-1" });
    const got = await leaseAll([before, ...keyed, free, free]);
    expect(got.filter((each) => each === "one")).toHaveLength(3);
    expect(got.filter((each) => each.includes("has the same concurrency_key and is running"))).toHaveLength(2);
    expect(got.filter((each) => each === "Task status is 'leased', expected 'queued'")).toHaveLength(1);
    expect(await commitsOf("leases")).toBe(1);
  });

  it("are one at a time for an account that is paced, over all of its workers", async () => {
    for (const name of ["one", "two"])
      await aWorker(db, { name, account: "max-1", capabilities: { max_concurrency: 8 } });
    await query("update workers set account_paced_until = 9e12");
    const got = await leaseAll(await tasks(5));
    expect(got.filter((each) => each === NO_ROOM)).toHaveLength(4);
  });

  it("pass over the best worker while somebody else has locked it", async () => {
    await aWorker(db, { name: "locked", capabilities: { max_concurrency: 32 } });
    await aWorker(db, { name: "free", capabilities: { max_concurrency: 8 } });
    const all = await tasks(6);
    const got = await db.transaction(async (tx) => {
      await tx.execute("select from workers where id = 'locked' for no key update");
      return await leaseAll(all);
    });
    expect(got).toEqual(Array(6).fill("free"));
  });

  it("for a named worker of a paced account do not open it to the router", async () => {
    await aWorker(db, { name: "free", capabilities: { max_concurrency: 1 } });
    await aWorker(db, { name: "paced", account: "max-1", capabilities: { max_concurrency: 8 } });
    await query("update workers set account_paced_until = 9e12 where id = 'paced'");
    const [before, named, ...chosen] = await tasks(4);
    if (!before || !named) throw new Error("There are four tasks.");
    await Promise.allSettled([lease(before, "free"), lease(named, "paced"), ...chosen.map((task) => lease(task))]);
    expect(await query("select task_id from leases where worker_id = 'paced'")).toEqual([{ task_id: named.id }]);
  });

  it("for named workers stand beside those that the router chooses, and count for these", async () => {
    await aWorker(db, { name: "one", capabilities: { max_concurrency: 2 } });
    await aWorker(db, { name: "drained" });
    await query(`update workers set drain = '{"reason": "", "until": null}' where id = 'drained'`);
    const [before, named, drained, chosen] = await tasks(4);
    if (!before || !named || !drained || !chosen) throw new Error("There are four tasks.");
    const asked = [lease(before), lease(named, "one"), lease(drained, "drained"), lease(chosen)];
    const statuses = (await Promise.allSettled(asked)).map(({ status }) => status);
    expect(statuses).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(await query("select worker_id, count(*)::int from leases group by 1")).toEqual([
      { worker_id: "one", count: 2 },
    ]);
  });
});

describe("of the calls for held tasks at the same moment", () => {
  beforeEach(() => aWorker(db, { capabilities: { max_concurrency: 32 } }));

  it("each heartbeat renews its own lease, also where two come for one task and one is stale", async () => {
    const leases = await held(8);
    const [first] = leases;
    if (!first) throw new Error("There are eight leases.");
    await query("update leases set expires_at = 0");
    const beats = [...leases, first].map(({ task_id, id }) => heartbeat(db, NOBODY, task_id, { lease_id: id }));
    const stale = heartbeat(db, NOBODY, first.task_id, { lease_id: leases[1]?.id });
    await expect(stale).rejects.toThrow("does not hold this task");
    expect((await Promise.all(beats)).map(({ lease }) => lease.id)).toEqual([...leases, first].map(({ id }) => id));
    expect(await query("select from leases where expires_at = 0")).toEqual([]);
    expect(await commitsOf("leases")).toBeLessThan(leases.length);
  });

  it("those whose task is locked keep no others waiting", async () => {
    const [locked, ...others] = await held(6);
    if (!locked) throw new Error("There are six leases.");
    const beat = ({ task_id, id }: { task_id: string; id: string }) => heartbeat(db, NOBODY, task_id, { lease_id: id });
    const { late } = await db.transaction(async (tx) => {
      await lockTask(tx, locked.task_id);
      // The first goes by itself, and those behind it in a batch with the task that is locked.
      const [first, ...batch] = [...others, locked, ...others].map(beat);
      const late = batch[others.length - 1];
      await Promise.all([first, ...batch.filter((each) => each !== late)]);
      return { late };
    });
    expect((await late)?.lease.id).toBe(locked.id);
  });

  it("each completion stores its own output, and one that its task refuses touches no other", async () => {
    const leases = await held(8);
    const complete = (id: string, lease_id: string, output: string) =>
      completeTask(db, NOBODY, inDatabase, id, completion({ lease_id, output }));
    const stale = complete(leases[0]?.task_id ?? "", leases[1]?.id ?? "", "stale");
    const all = leases.map(({ task_id, id }) => complete(task_id, id, `output of ${id}`));
    await expect(stale).rejects.toThrow("does not hold this task");
    for (const { result, artifact } of await Promise.all(all)) {
      expect(result.output).toBe(`output of ${result.lease_id}`);
      expect(await query("select content, task_id from runtime_artifacts where id = $1", [artifact.id])).toEqual([
        { content: result.output, task_id: result.task_id },
      ]);
    }
    expect(await commitsOf("llm_results")).toBeLessThan(leases.length);
    expect(await query("select from audit_logs where action = 'task_completed'")).toHaveLength(leases.length);
  });

  it("each release gives back its own attempt, and a task that is cancelled is not queued", async () => {
    const leases = await held(6);
    await query("update llm_tasks set cancel_requested = true where id = $1", [leases[3]?.task_id]);
    const back = await Promise.all(
      leases.map(({ task_id, id }) => releaseTask(db, NOBODY, task_id, { lease_id: id, reason: "" })),
    );
    expect(back.map(({ id }) => id)).toEqual(leases.map(({ task_id }) => task_id));
    expect(back.map(({ status }) => status)).toEqual(leases.map((_, n) => (n === 3 ? "cancelled" : "queued")));
    expect(await query("select from llm_tasks where attempts <> 0 or lease_id is not null")).toEqual([]);
    expect(await commitsOf("llm_tasks")).toBeLessThan(leases.length);
    expect(logged).toEqual([]);
  });
});
