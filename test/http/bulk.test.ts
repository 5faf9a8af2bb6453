import { expect, it, onTestFinished } from "vitest";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask, aTask, aWorker } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";

const { db, query } = await createTestDatabase();
const { api } = await startApp(db);
const R = "/api/runtime/llm-tasks";
const statusOf = async (id: string) => (await api.get(`${R}/${id}`).expect(200)).body.status;

/** Makes the database refuse, as on a full disk, to insert or update tasks with the prompt "full". */
async function refuseFull(change: "insert" | "update") {
  await query(`create function refuse_full() returns trigger language plpgsql as $$
    begin raise exception 'no space left' using errcode = '53100'; end $$`);
  await query(`create trigger is_full before ${change} on llm_tasks for each row when (new.prompt = 'full')
    execute function refuse_full()`);
  onTestFinished(async () => void (await query("drop function refuse_full cascade")));
}

it("a bulk gives each task its own verdict, and the same again creates nothing", async () => {
  const task = { context_id: "bulk", agent_slug: "a", prompt: "p" };
  const tasks = [
    { ...task, idempotency_key: "k1" },
    { ...task, prompt: "" },
    7,
    { ...task, prompt: "other", idempotency_key: "k1" },
    { ...task, idempotency_key: "k2" },
  ];
  const { body } = await api.post(`${R}/bulk`).send({ tasks }).expect(200);
  expect([body.created, body.repeated, body.refused]).toEqual([2, 0, 3]);
  expect(body.results.map(({ code }: { code: number }) => code)).toEqual([201, 400, 400, 409, 201]);
  expect(body.results[1].error.fieldErrors).toEqual({ prompt: ["must not be empty"] });
  const { body: again } = await api.post(`${R}/bulk`).send({ tasks }).expect(200);
  expect(again.results.map(({ id }: { id: string }) => id)).toEqual(body.results.map(({ id }: { id: string }) => id));
  expect((await api.get(`${R}?context_id=bulk`)).body).toHaveLength(2);
  await api.post(`${R}/bulk`).set("Idempotency-Key", "k").send({ tasks }).expect(400);
  await api
    .post(`${R}/bulk`)
    .send({ tasks: Array(1_001).fill(task) })
    .expect(400);
});

it("a bulk names in each verdict the fields that were ignored", async () => {
  const task = { context_id: "typos", agent_slug: "a", prompt: "p", idempotency_key: "typos" };
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${n}`.padStart(200, "x"), n]));
  const tasks = [{ ...task, priorty: 5, policy: { timeout: 9 } }, { ...task, prompt: "" }, 7, { prompt: "", ...many }];
  const { results } = (await api.post(`${R}/bulk`).send({ tasks }).expect(200)).body;
  const ignored = results.map((verdict: { ignored: string[] }) => verdict.ignored);
  expect(ignored.slice(0, 3)).toEqual([["priorty", "policy.timeout"], [], []]);
  expect([ignored[3].length, ignored[3][0].length]).toEqual([20, 100]);
});

it("a bulk that the database does not take to its end says which tasks are there, and which to send again", async () => {
  await refuseFull("insert");
  const task = { context_id: "half", agent_slug: "a", prompt: "p" };
  // More than are sent at once. The tasks of the second batch are sent alone, since one of them is refused.
  const many = Array<object>(65).fill(task);
  const tasks = [...many, { ...task, prompt: "full" }, ...many];
  const { body } = await api.post(`${R}/bulk`).send({ tasks }).expect(200);
  expect([body.created, body.repeated, body.refused]).toEqual([65, 0, 0]);
  expect(body.results.map(({ code }: { code: number }) => code)).toEqual([
    ...Array(65).fill(201),
    ...Array(66).fill(507),
  ]);
  expect(body.results.at(-1)).toEqual({ code: 507, id: null, ignored: [], error: expect.stringContaining("disk") });
  expect(await query("select id from llm_tasks where context_id = 'half'")).toHaveLength(65);
  expect((await api.get("/api/runtime/audit?action=tasks_created&limit=1")).body[0].detail).toBe(
    "65 of 131 tasks of one call",
  );
  await api
    .post(`${R}/bulk`)
    .send({ tasks: tasks.slice(65) })
    .expect(507);
});

it("cancels what matches and no more, after a dry run that changes nothing", async () => {
  const made = [];
  for (let n = 0; n < 12; n++) made.push((await aTask(db, { context_id: "c1" })).id);
  const held = (await aLeasedTask(db, { task: { context_id: "c1" } })).task.id;
  const other = (await aTask(db, { context_id: "c2" })).id;
  const filter = { context_id: "c1" };
  const { body: dry } = await api.post(`${R}/cancel`).send({ filter, dry_run: true }).expect(200);
  expect(dry).toMatchObject({ dry_run: true, matched: 13, changed: 0, more: false });
  expect(dry.examples.map(({ id }: { id: string }) => id)).toEqual(made.slice(0, 10));
  const { body: some } = await api.post(`${R}/cancel`).send({ filter, limit: 5, reason: "r" }).expect(200);
  expect(some).toMatchObject({ matched: 5, changed: 5, refused: 0, more: true });
  const { body: rest } = await api.post(`${R}/cancel`).send({ filter }).expect(200);
  expect(rest).toMatchObject({ matched: 8, changed: 8, more: false });
  expect((await api.post(`${R}/cancel`).send({ filter }).expect(200)).body.matched).toBe(0);
  expect(await Promise.all([...made, held, other].map(statusOf))).toEqual([
    ...made.map(() => "cancelled"),
    "leased",
    "queued",
  ]);
  const entries = await query(
    "select action, count(*)::int as n from audit_logs where action like '%cancel%' group by 1",
  );
  expect(Object.fromEntries(entries.map(({ action, n }) => [action, n]))).toEqual({
    tasks_cancelled: 2,
    task_cancelled: 12,
    task_cancel_requested: 1,
  });
});

it("cancels the same tasks for four callers at once, in batches, and only what is locked waits", async () => {
  const made = await Promise.all(Array.from({ length: 200 }, () => aTask(db, { context_id: "c6" })));
  const locked = made[90]?.id;
  const unlock = await holdTransaction(db, `select from llm_tasks where id = '${locked}' for no key update`);
  const sent = { filter: { context_id: "c6" } };
  const calls = Promise.all(Array.from({ length: 4 }, () => api.post(`${R}/cancel`).send(sent)));
  const [about] = await eventually(async () => {
    const found = await query<{ left: string[]; commits: number }>(
      `select array_agg(id::text) filter (where status = 'queued') as left,
        (select count(distinct xid)::int from audit_logs where entity_id in (select id::text from llm_tasks where context_id = 'c6') and action = 'task_cancelled') as commits
      from llm_tasks where context_id = 'c6'`,
    );
    expect(found[0]?.left).toEqual([locked]);
    return found;
  });
  await unlock();
  expect(about?.commits).toBeLessThan(20);
  const bodies = (await calls).map(({ body }) => body);
  for (const { matched, changed, refused } of bodies) expect(changed + refused).toBe(matched);
  expect(bodies.reduce((sum, { changed }) => sum + changed, 0)).toBe(200);
  const entries = await query(
    `select from audit_logs where action = 'task_cancelled' and entity_id in (select id::text from llm_tasks where context_id = 'c6')`,
  );
  expect(entries).toHaveLength(200);
});

it("requeues what failed, and refuses a call without a filter or with one that is not known", async () => {
  const { id } = await aTask(db, { context_id: "c3" });
  await query("update llm_tasks set status = 'dead' where id = $1", [id]);
  const { body } = await api.post(`${R}/requeue`).send({ filter: { status: ["dead", "queued"], context_id: "c3" } });
  expect(body).toMatchObject({ matched: 1, changed: 1, refused: 0 });
  expect(await statusOf(id)).toBe("queued");
  const wrong = [{}, { filter: {} }, { filter: { context: "c3" } }, { filter: { context_id: "" } }, { filter: null }];
  for (const sent of [...wrong, { filter: { context_id: "c3" }, dryrun: true }, { filter: { q: "a" }, limit: 0 }])
    for (const call of ["cancel", "requeue"]) await api.post(`${R}/${call}`).send(sent).expect(400);
  expect(await statusOf(id)).toBe("queued");
});

it("beside claims, each task is either cancelled or held", async () => {
  await aWorker(db, { name: "w", capabilities: { max_concurrency: 32, labels: ["c4"] } });
  for (let n = 0; n < 40; n++) await aTask(db, { context_id: "c4", requires: ["c4"] });
  const claims = Array.from({ length: 8 }, () => api.post(`${R}/claim`).send({ worker_id: "w", max_tasks: 4 }));
  const filter = { context_id: "c4", status: "queued" };
  const [{ body }] = await Promise.all([api.post(`${R}/cancel`).send({ filter }).expect(200), ...claims]);
  const { body: tasks } = await api.get(`${R}?context_id=c4`).expect(200);
  const having = (status: string) => tasks.filter((task: { status: string }) => task.status === status).length;
  expect([having("cancelled"), having("cancelled") + having("leased")]).toEqual([body.changed, 40]);
  expect(tasks.some((task: { cancel_requested: boolean }) => task.cancel_requested)).toBe(false);
});

it("replays each task once, however often the call is sent, and never what it has made", async () => {
  const made = [];
  for (let n = 0; n < 5; n++) made.push((await aTask(db, { context_id: "c5", priority: n })).id);
  const sent = { filter: { context_id: "c5" }, limit: 3, changes: { prompt: "again" }, idempotency_key: "b" };
  const replay = async () => (await api.post(`${R}/replay`).send(sent).expect(200)).body;
  expect(await replay()).toMatchObject({ matched: 3, changed: 3, more: true });
  expect(await replay()).toMatchObject({ matched: 2, changed: 2, more: false });
  expect(await replay()).toMatchObject({ matched: 0, changed: 0, more: false });
  const { body: tasks } = await api.get(`${R}?context_id=c5`).expect(200);
  const keys = tasks.map((task: { idempotency_key: string | null }) => task.idempotency_key).filter(Boolean);
  expect(keys.toSorted()).toEqual(made.map((id) => `b/${id}`).toSorted());
  const wrong = { ...sent, changes: { prompt: "" }, idempotency_key: "c", limit: 1 };
  expect((await api.post(`${R}/replay`).send(wrong).expect(200)).body).toMatchObject({ changed: 0, refused: 1 });
  await api.post(`${R}/replay`).send({ filter: sent.filter }).expect(400);
});

it("a change that the database does not take to its end says how many were changed, and that there are more", async () => {
  for (let n = 0; n < 64; n++) await aTask(db, { context_id: "part" });
  await aTask(db, { context_id: "part", prompt: "full" });
  await refuseFull("update");
  const cancel = () => api.post(`${R}/cancel`).send({ filter: { context_id: "part" } });
  expect((await cancel().expect(200)).body).toMatchObject({ matched: 65, changed: 64, refused: 0, more: true });
  await cancel().expect(507);
});
