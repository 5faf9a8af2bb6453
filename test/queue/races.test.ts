import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { claimTasksBody } from "../../src/contract/requests.ts";
import { resumeAccount } from "../../src/fleet/accounts.ts";
import { Resting } from "../../src/fleet/worker-rest.ts";
import { claimTasks } from "../../src/queue/claim.ts";
import { completeTask, requireCompletable } from "../../src/queue/complete.ts";
import { heartbeat } from "../../src/queue/heartbeat.ts";
import { requeueTask } from "../../src/queue/requeue.ts";
import { sweepOnce } from "../../src/queue/sweep.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask, aWorker, completion, leaseTo } from "../support/factories.ts";
import { inDatabase } from "../support/output-storage.ts";

const { db, logged, query, makeOverdue } = await createTestDatabase();

/** What each promise came to: "ok", or the message it was refused with. */
async function outcomes(promises: Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((one) => (one.status === "fulfilled" ? "ok" : String(one.reason.message)));
}

const count = (all: string[], what: string) => all.filter((one) => one === what).length;

/** Rows that break lifecycle.md, invariant 1. */
const brokenRows = () =>
  query(`
    select t.id, t.status, l.status as lease from llm_tasks t left join leases l on l.id = t.lease_id
    where (t.status in ('leased', 'running')) is distinct from (coalesce(l.status, '') = 'active')
    union all
    select l.task_id, t.status, l.status from leases l left join llm_tasks t on t.lease_id = l.id
    where l.status = 'active' and t.id is null`);

describe("races", () => {
  it("50 callers lease one task: one gets it, 49 are told that it is leased", async () => {
    await aWorker(db, { capabilities: { max_concurrency: 32 } });
    const task = await aTask(db);
    const all = await outcomes(Array.from({ length: 50 }, () => leaseTo(db, task.id)));
    expect(count(all, "ok")).toBe(1);
    expect(count(all, "Task status is 'leased', expected 'queued'")).toBe(49);
  });

  it("200 callers over 5 workers with a cap of 2: no worker ever holds more than 2 leases", async () => {
    await query("update workers set status = 'offline'");
    await Promise.all(Array.from({ length: 5 }, () => aWorker(db, { capabilities: { max_concurrency: 2 } })));
    const tasks = await Promise.all(Array.from({ length: 200 }, () => aTask(db)));

    // The database itself counts, under a lock of its own, so that no instant is missed.
    await query("create table loads (worker_id text primary key, now int not null, most int not null)");
    await query(`create function count_load() returns trigger language plpgsql as $$ begin
      if tg_op = 'INSERT' then
        insert into loads values (new.worker_id, 1, 1) on conflict (worker_id)
          do update set now = loads.now + 1, most = greatest(loads.most, loads.now + 1);
      elsif old.status = 'active' and new.status <> 'active' then
        update loads set now = now - 1 where worker_id = old.worker_id;
      end if;
      return null;
    end $$`);
    await query(
      "create trigger count_load after insert or update on leases for each row execute function count_load()",
    );
    // Whoever gets a task completes it, so that capacity is freed and taken all the time.
    const work = async (id: string) => {
      await leaseTo(db, id);
      await completeTask(db, NOBODY, inDatabase, id, completion());
    };
    const all = await outcomes(tasks.map((task) => work(task.id)));
    await query("drop trigger count_load on leases");
    const loads = await query<{ now: number; most: number }>("select now, most from loads");
    expect(loads.map(({ now }) => now)).toEqual(loads.map(() => 0));
    expect(loads.map(({ most }) => most)).toEqual(loads.map(() => 2));
    expect(count(all, "ok")).toBeGreaterThanOrEqual(10);
    expect(count(all, "ok") + count(all, "No available worker with free capacity")).toBe(200);
    expect(await brokenRows()).toEqual([]);
  }, 60_000);

  it("expiry against completion and heartbeat, 1,000 times: each task ends in one place, with one result at most", async () => {
    const worker = await aWorker(db);
    const race = async (fenced: boolean) => {
      const { id } = await aTask(db);
      const { lease } = await leaseTo(db, id, worker.id);
      const held = await requireCompletable(db, id);
      await makeOverdue(id);
      const request = completion(fenced ? { lease_id: lease.id } : {});
      const [completed] = await outcomes([
        completeTask(db, NOBODY, inDatabase, held.id, request),
        sweepOnce(db),
        heartbeat(db, NOBODY, id),
        sweepOnce(db),
      ]);
      // With its fence, finished work is never refused here: the sweep may at most have queued the task again.
      if (fenced) expect(completed).toBe("ok");
      const results = await query("select accepted from llm_results where task_id = $1", [id]);
      expect(results).toEqual(completed === "ok" ? [{ accepted: true }] : []);
    };
    for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 25 }, (_, n) => race(n % 2 === 0)));
    expect(await brokenRows()).toEqual([]);
  }, 300_000);

  it("requeue against sweep, both at once and again: nothing is lost, doubled or deadlocked", async () => {
    const worker = await aWorker(db);
    const tasks = await Promise.all(Array.from({ length: 20 }, () => aTask(db, { max_attempts: 1 })));
    for (let round = 0; round < 10; round++) {
      await Promise.all(tasks.map(({ id }) => leaseTo(db, id, worker.id)));
      await makeOverdue();
      // Each task is dead as soon as a sweep has seen it, and queued once it was requeued after that.
      const all = await outcomes([sweepOnce(db), ...tasks.map(({ id }) => requeueTask(db, NOBODY, id)), sweepOnce(db)]);
      const early = all.filter((one) => one === "Cannot requeue task with status 'leased'").length;
      expect(count(all, "ok") + early).toBe(22);
      await sweepOnce(db);
      await outcomes(tasks.map(({ id }) => requeueTask(db, NOBODY, id)));
      const statuses = await query("select distinct status, attempts from llm_tasks where id = any($1)", [
        tasks.map(({ id }) => id),
      ]);
      expect(statuses).toEqual([{ status: "queued", attempts: 0 }]);
    }
    expect(await brokenRows()).toEqual([]);
  });

  it("two completions at once: one is accepted", async () => {
    const { task } = await aLeasedTask(db);
    const held = await requireCompletable(db, task.id);
    const all = await outcomes(
      [1, 2].map((n) => completeTask(db, NOBODY, inDatabase, held.id, completion({ output: `${n}` }))),
    );
    expect(count(all, "ok")).toBe(1);
    expect(await query("select id from runtime_artifacts where task_id = $1", [task.id])).toHaveLength(1);
  });

  it("requeue against lease, heartbeat, completion and sweep: only answers that are documented", async () => {
    const worker = await aWorker(db, { capabilities: { max_concurrency: 32 } });
    const tasks = await Promise.all(Array.from({ length: 10 }, () => aTask(db, { max_attempts: 1 })));
    const step = async (id: string, n: number) => {
      if (n === 0) await leaseTo(db, id, worker.id);
      else if (n === 1) await heartbeat(db, NOBODY, id);
      else if (n === 2) await completeTask(db, NOBODY, inDatabase, id, completion({ status: "error" }));
      else if (n === 3) await requeueTask(db, NOBODY, id);
      else await makeOverdue(id).then(() => sweepOnce(db));
    };
    const steps = Array.from({ length: 300 }, (_, n) => step(tasks[n % tasks.length]?.id ?? "", (n * 7) % 5));
    const refusals = /^(ok|Task .*|Lease .*|Cannot requeue .*|No available worker .*)$/;
    expect((await outcomes(steps)).filter((one) => !refusals.test(one))).toEqual([]);
    expect(await brokenRows()).toEqual([]);
  });

  it("claims, keys, priorities and limits at once: no key is held twice, and nobody whose account rests gets a task", async () => {
    await query("update llm_tasks set status = 'cancelled' where status = 'queued'");
    const accounts = ["even", "odd"];
    const workers = await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        aWorker(db, { account: accounts[n % 2], capabilities: { max_concurrency: 2 } }),
      ),
    );
    const tasks = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        aTask(db, { priority: (n % 3) - 1, concurrency_key: n % 4 === 0 ? null : `key ${n % 6}` }),
      ),
    );
    // A task is the younger the higher its priority, by less than its head start: without priorities the order would be the other way round.
    await query("update llm_tasks set created_at = created_at + priority * 10000 where status = 'queued'");
    await query("create table wrong_leases (what text)");
    // The worker is locked when its lease is made, so that its account's rest is the newest.
    await query(`create function note_wrong() returns trigger language plpgsql as $$ begin
      insert into wrong_leases
        select 'for ' || id || ', which rests' from workers
        where id = new.worker_id and (account_rest ->> 'until')::bigint > new.started_at
        union all
        select 'beside ' || l.id || ' with the same key' from llm_tasks t join llm_tasks other using (concurrency_key)
        join leases l on l.task_id = other.id where t.id = new.task_id and l.id <> new.id and l.status = 'active';
      return null;
    end $$`);
    await query("create trigger note_wrong after insert on leases for each row execute function note_wrong()");
    const asks = (worker_id: string) => claimTasksBody.parse({ worker_id, max_tasks: 2 });
    let completions = 0;
    const finished = new Set<string>();
    const work = async (worker_id: string, account: string) => {
      while (finished.size < tasks.length) {
        const { leased } = await claimTasks(db, NOBODY, asks(worker_id)).catch(async (error) => {
          if (!(error instanceof Resting)) throw error;
          await resumeAccount(db, NOBODY, account);
          return { leased: [] };
        });
        for (const { task, lease } of leased) {
          const isLimited = ++completions % 5 === 0;
          const ending = isLimited ? { status: "error", error_kind: "rate_limited" } : {};
          const request = completion({ ...ending, lease_id: lease.id });
          await completeTask(db, NOBODY, inDatabase, task.id, request);
          if (!isLimited) finished.add(task.id);
        }
      }
    };
    await Promise.all(workers.map(({ id }, n) => work(id, accounts[n % 2] ?? "")));
    await query("drop trigger note_wrong on leases");
    const ids = tasks.map(({ id }) => id);
    const ended = await query("select distinct status, attempts from llm_tasks where id = any($1)", [ids]);
    // A limit gives the attempt back.
    expect(ended).toEqual([{ status: "completed", attempts: 1 }]);
    // Keys hold tasks of high priority back, so that the order shows in the tasks without one.
    const starts = await query<{ priority: number }>(
      `select t.priority from llm_tasks t join leases l on l.task_id = t.id join audit_logs e on e.entity_id = l.id::text and e.action = 'task_leased'
       where t.id = any($1) and t.concurrency_key is null group by t.id order by min(e.seq)`,
      [ids],
    );
    const meanPlace = (priority: number) => {
      const places = starts.flatMap((start, place) => (start.priority === priority ? [place] : []));
      return places.reduce((sum, place) => sum + place, 0) / places.length;
    };
    expect(starts).toHaveLength(15);
    expect(meanPlace(1)).toBeLessThan(meanPlace(-1));
    const limits = await query("select id from audit_logs where action = 'account_limited'");
    expect(limits.length).toBeGreaterThan(0);
    expect(await query("select what from wrong_leases")).toEqual([]);
    expect(await brokenRows()).toEqual([]);
  }, 60_000);

  it("none of this ran into a deadlock", () => {
    expect(logged).toEqual([]);
  });
});
