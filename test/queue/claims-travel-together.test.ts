/** Claims that come at the same moment travel together. What each of them gets is what it would get after those before it. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody } from "../../src/contract/requests.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { lockTask } from "../../src/queue/get-task.ts";
import { createTestDatabase } from "../support/database.ts";
import { aTask, aWorker } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const empty = () => query("truncate workers, runtime_accounts, llm_tasks, leases, llm_results, audit_logs");
beforeEach(empty);

/** Claims for the worker; gives the id of its task, or the message of its refusal. */
const claim = async (worker: string) => {
  const claimed = await claimTasks(db, NOBODY, claimTasksBody.parse({ worker_id: worker })).catch((error) =>
    String(error.message),
  );
  return typeof claimed === "string" ? claimed : claimed.leased[0]?.task.id;
};
const claimAll = (workers: string[]) => Promise.all(workers.map(claim));
const tasks = async (count: number, fields: Record<string, unknown> = {}) => {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await aTask(db, fields)).id);
  return ids;
};
const commits = async () =>
  (await query<{ commits: number }>("select count(distinct xmin::text)::int as commits from leases"))[0]?.commits;

const labels = fc.subarray(["gpu", "big"]);
const aFleet = fc.array(fc.record({ labels, slots: fc.integer({ min: 1, max: 2 }) }), { minLength: 6, maxLength: 6 });
const someTasks = fc.array(
  fc.record({
    requires: labels,
    context_id: fc.constantFrom("a", "b", "c"),
    priority: fc.constantFrom(0, 0, 5),
    concurrency_key: fc.constantFrom(null, null, "x", "y"),
    tried_by: fc.constantFrom(null, null, "w0", "w1"),
    allow_fallback: fc.boolean(),
    elsewhere_until: fc.constantFrom(1, 9e12),
    due: fc.constantFrom(null, null, "past", "future"),
  }),
  { maxLength: 8 },
);
const someClaims = fc.uniqueArray(fc.nat({ max: 5 }), { minLength: 2, maxLength: 6 });
const warm = fc.array(fc.constantFrom(null, "a", "b"), { minLength: 6, maxLength: 6 });

describe("claims at the same moment", () => {
  it("get what they would get one after the other", async () => {
    await fc.assert(
      fc.asyncProperty(aFleet, someTasks, someClaims, warm, async (fleet, wanted, claims, contexts) => {
        await empty();
        for (const [n, { labels, slots }] of fleet.entries())
          await aWorker(db, { name: `w${n}`, capabilities: { labels, max_concurrency: slots } });
        // A batch locks as many tasks as it has claims. With more of them, a worker that may have none of the first is asked after the others.
        for (const { tried_by, allow_fallback, elsewhere_until, due, concurrency_key, ...fields } of wanted.slice(
          1 - claims.length,
        )) {
          const { id } = await aTask(db, { ...fields, ...(concurrency_key && { concurrency_key }) });
          const dueAt = due === null ? null : due === "past" ? 1_000 : 9e12;
          const set = "tried_by = $2, allow_fallback = $3, not_before = $4, elsewhere_until = $5";
          await query(`update llm_tasks set ${set} where id = $1`, [
            id,
            tried_by,
            allow_fallback,
            dueAt,
            elsewhere_until,
          ]);
        }
        const reset = async () => {
          await query("update llm_tasks set status = 'queued', lease_id = null, worker_id = null, attempts = 0");
          await query("delete from leases");
          for (const [n, context] of contexts.entries())
            await query("update workers set served_context = $2, served_at = $3 where id = $1", [
              `w${n}`,
              context,
              Date.now(),
            ]);
        };
        const workers = claims.map((n) => `w${n}`);
        await reset();
        const inTurn = [];
        for (const worker of workers) inTurn.push(await claim(worker));
        await reset();
        // The first goes by itself, and all others are the next batch.
        expect(await claimAll(workers)).toEqual(inTurn);
      }),
      { numRuns: 25, seed: 20 },
    );
  });

  it("of many workers are one commit, and those of one worker are as many as it has room for", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `w${n}`);
    for (const name of names) await aWorker(db, { name });
    const ids = await tasks(15);
    expect(await claimAll(names)).toEqual(ids.slice(0, 12));
    expect(await commits()).toBe(1);
    await query("delete from llm_tasks where id = any($1)", [ids]);
    await aWorker(db, { name: "one", capabilities: { max_concurrency: 5 } });
    await tasks(9);
    // Claims that meet tasks which others are just taking may get none of them. No worker gets more than it has room for.
    const got = await claimAll(Array(8).fill("one"));
    for (let more = 0; more < 5; more++) got.push(await claim("one"));
    const taken = got.filter((each) => each !== undefined);
    expect([taken.length, new Set(taken).size]).toEqual([5, 5]);
  });

  it("give each of many workers with one warm context a task of it", async () => {
    const names = Array.from({ length: 13 }, (_, n) => `w${n}`);
    for (const name of names) await aWorker(db, { name });
    await tasks(40, { context_id: "cold" });
    const warm = await tasks(14, { context_id: "warm" });
    await query("update workers set served_context = 'warm', served_at = $1", [Date.now()]);
    expect(await claimAll(names)).toEqual(warm.slice(0, 13));
  });

  it("are one at a time for an account that is paced, over all of its workers", async () => {
    for (const name of ["one", "two"])
      await aWorker(db, { name, account: "max-1", capabilities: { max_concurrency: 8 } });
    await query("update workers set account_paced_until = 9e12");
    await tasks(5);
    const got = await claimAll(["one", "two", "one", "two", "two"]);
    expect(got.filter((each) => each !== undefined)).toHaveLength(1);
  });

  it("pass over what somebody else has locked: tasks at once, and a worker while others get theirs", async () => {
    for (const name of ["first", "one", "locked", "two"]) await aWorker(db, { name });
    const [first, locked, ...free] = await tasks(5);
    const { late } = await db.transaction(async (tx) => {
      await lockTask(tx, locked ?? "");
      await tx.execute("select from workers where id = 'locked' for no key update");
      const [before, one, late, two] = ["first", "one", "locked", "two"].map(claim);
      expect([await before, await one, await two]).toEqual([first, free[0], free[2]]);
      return { late };
    });
    expect([locked, free[1]]).toContain(await late);
  });

  it("do not wait for workers that somebody else has locked, whether there is something for them or not", async () => {
    const numbers = Array.from({ length: 6 }, (_, n) => n);
    for (const n of numbers) {
      await aWorker(db, { name: `locked-${n}` });
      await aWorker(db, { name: `free-${n}`, capabilities: { max_concurrency: 1 } });
    }
    await tasks(20);
    const late = await db.transaction(async (tx) => {
      await tx.execute("select from workers where id like 'locked%' for no key update");
      const late = [];
      for (const n of numbers) {
        late.push(claim(`locked-${n}`));
        expect(await claim(`free-${n}`)).toBeDefined();
      }
      // Those that are full are asked alone.
      expect(await claimAll(["free-0", "free-1", "free-2"])).toEqual([undefined, undefined, undefined]);
      return late;
    });
    expect(new Set(await Promise.all(late)).size).toBe(6);
  });

  it("hand out 16 MB together, and what is left one by one", async () => {
    for (const name of ["first", "one", "two", "three"]) await aWorker(db, { name });
    const [first] = await tasks(1);
    const ids = await tasks(3, { prompt: "x".repeat(7_000_000) });
    expect(await claimAll(["first", "one", "two", "three"])).toEqual([first, ...ids]);
    expect(await commits()).toBe(2);
  });

  it("say why where there is nothing for a worker, and keep what nobody may have out of the others' way", async () => {
    for (const name of ["first", "one", "drained", "two"]) await aWorker(db, { name });
    await query(`update workers set drain = '{"reason": "maintenance", "until": null}' where id = 'drained'`);
    await aWorker(db, { name: "holder" });
    const [holding] = await tasks(300, { concurrency_key: "held" });
    expect(await claim("holder")).toBe(holding);
    const ids = await tasks(2);
    await query("update llm_tasks set created_at = 1 where id = $1", [ids[0]]);
    const [before, one, drained, nobody, two] = await claimAll(["first", "one", "drained", "nobody", "two"]);
    expect(before).toBe(ids[0]);
    expect([one, two]).toContain(ids[1]);
    expect(drained).toBe("Worker drained is drained and gets no new work: maintenance");
    expect(nobody).toMatch(/nobody|not found/i);
  });
});
