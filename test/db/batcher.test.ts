import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { batchStatement, type Locks } from "../../src/db/batch-statement.ts";
import { batcher } from "../../src/db/batcher.ts";
import { openDatabase } from "../../src/db/client.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { holdTransaction } from "../support/held-transaction.ts";

/** The end of a locking clause. */
const passingOver = (locks: Locks) => sql.raw(locks === "waits" ? "" : "skip locked");

const { db, url, query } = await createTestDatabase();

await query("create table seats (id uuid primary key, guest text, note jsonb, length integer check (length <> 13))");
await query("create unique index on seats (md5(guest))");
interface Taken {
  xid: string;
  length: number;
}
type Request = { id: string; guest: string | null; note: unknown };
const batcherOf = (name: string) =>
  batcher(
    batchStatement<Taken, Request>(
      name,
      { id: "uuid", guest: "text", note: "jsonb" },
      (locks) => sql`free as (
      select request.ordinal, request.guest, request.note, seat.id from request cross join lateral (
        select id from seats where seats.id = request.id and seats.guest is null for no key update ${passingOver(locks)}) as seat
    ), taken as (
      update seats set guest = free.guest, note = free.note, length = length(free.guest) from free where seats.id = free.id and seats.guest is null
      returning free.ordinal, seats.length
    )
    select ordinal, length, pg_current_xact_id()::text as xid from taken`,
    ),
    ({ guest }) => guest?.length ?? 0,
  );
const seats = batcherOf("seat");
const others = batcherOf("other");

let ids: string[] = [];
beforeEach(async () => {
  // Not at the end of each test: one that has failed has still locked the table then.
  await query("delete from seats");
  ids = Array.from({ length: 200 }, () => randomUUID()).toSorted();
  await query("insert into seats select unnest($1::uuid[])", [ids]);
});
let guests = 0;
const request = (n: number, fields: Partial<Request> = {}): Request => ({
  id: ids[n] ?? "",
  guest: `guest ${guests++}`,
  note: null,
  ...fields,
});
/** How many rows came from each commit, the fewest first. */
const sizes = (rows: (Taken | undefined)[]) => {
  const xids = rows.map((row) => row?.xid);
  return [...new Set(xids)].map((xid) => xids.filter((each) => each === xid).length).toSorted((a, b) => a - b);
};

/** Locks the table, or what `locking` selects, in another session, until the function that it gives is called. */
const lock = (locking = "lock table seats in exclusive mode") => holdTransaction(db, locking);
const waitingFor = (event: string) =>
  query(
    "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like $1",
    [event],
  );

/** Waits until this number of statements for seats wait for a lock. */
const hanging = (count: number) => eventually(async () => expect(await waitingFor("%seats%")).toHaveLength(count));

it("gives each request its own row, in their order, whatever the order of the ids", async () => {
  const asked = [3, 1, 150, 2, 150, 0].map((n, k) =>
    request(n, { guest: "x".repeat(k + 1), note: { n: [-0, "ü\\\"'"] } }),
  );
  const rows = await seats.sendAll(db, asked);
  const lengths = rows.map((row) => (row.status === "fulfilled" ? row.value?.length : row));
  expect([lengths.slice(0, 2), lengths[3], lengths[5]]).toEqual([[1, 2], 4, 6]);
  // Both ask for the same seat: one of them gets it.
  expect([lengths[2], lengths[4]].filter((length) => length === undefined)).toHaveLength(1);
  const [seat] = await query("select note, guest from seats where id = $1", [ids[3]]);
  expect(seat).toEqual({ note: { n: [0, "ü\\\"'"] }, guest: "x" });
});

it("takes null and JSON's own null, texts and numbers for what they are, alone and in a batch", async () => {
  const notes = [null, "null", 7, "a", [], { a: null }, true];
  for (const note of notes) await seats.send(db, request(notes.indexOf(note), { note }));
  await seats.sendAll(
    db,
    notes.map((note, n) => request(50 + n, { note })),
  );
  const stored = async (from: number) =>
    (await query("select note from seats where id = any($1) order by id", [ids.slice(from, from + notes.length)])).map(
      ({ note }) => note,
    );
  expect(await stored(0)).toEqual(notes);
  expect(await stored(50)).toEqual(notes);
});

it("sends those of one moment together", async () => {
  const all = Array.from({ length: 64 + 3 }, (_, n) => seats.send(db, request(n)));
  expect(sizes(await Promise.all(all))).toEqual([3, 64]);
});

it("sends one at once, those that come meanwhile in batches of 64 at most, and a second batch only beside a slow one", async () => {
  const unlock = await lock();
  const all = [seats.send(db, request(0))];
  await hanging(1);
  for (let n = 1; n <= 64 + 30; n++) all.push(seats.send(db, request(n)));
  await eventually(async () => {
    all.push(seats.send(db, request(all.length)));
    expect(await waitingFor("%seats%")).toHaveLength(2);
  });
  await unlock();
  expect(sizes(await Promise.all(all))).toEqual([1, all.length - 65, 64]);
});

it("has requests of another statement wait for the batch under way, and travel together then", async () => {
  const unlock = await lock();
  const first = seats.send(db, request(0));
  await hanging(1);
  const now = performance.now();
  vi.spyOn(performance, "now").mockReturnValue(now);
  const sent = [];
  for (const n of [1, 2, 3]) {
    sent.push(others.send(db, request(n)));
    await new Promise((turn) => setImmediate(turn));
  }
  await unlock();
  expect([await first, sizes(await Promise.all(sent))]).toEqual([expect.anything(), [3]]);
});

it("has no request of another statement wait for more than 15 ms, and 16 of them not at all", async () => {
  const unlock = await lock();
  const sent = [seats.send(db, request(0))];
  await hanging(1);
  const now = performance.now();
  const clock = vi.spyOn(performance, "now").mockReturnValue(now);
  sent.push(others.send(db, request(1)));
  clock.mockReturnValue(now + 15);
  await hanging(2);
  clock.mockRestore();
  await unlock();
  await Promise.all(sent);

  const unlockAgain = await lock();
  const one = seats.send(db, request(2));
  await hanging(1);
  vi.spyOn(performance, "now").mockReturnValue(performance.now());
  const enough = Array.from({ length: 16 }, (_, n) => others.send(db, request(n + 3)));
  await hanging(2);
  await unlockAgain();
  expect([await one, sizes(await Promise.all(enough))]).toEqual([expect.anything(), [16]]);
});

it("has two batches under way at most, however slow they are", async () => {
  const unlock = await lock();
  const slow = [seats.send(db, request(0))];
  await hanging(1);
  slow.push(seats.send(db, request(1)));
  await hanging(2);
  const later = performance.now() + 1_000;
  vi.spyOn(performance, "now").mockReturnValue(later);
  // Were it sent in its own turn of the event loop, those of the next turn could not travel with it.
  const next = [];
  for (const n of [2, 3, 4]) {
    next.push(seats.send(db, request(n)));
    await new Promise((turn) => setImmediate(turn));
  }
  await unlock();
  expect([sizes(await Promise.all(slow)), sizes(await Promise.all(next))]).toEqual([[1, 1], [3]]);
});

it("does not have a request wait for a batch that came shortly before it and hangs", async () => {
  const unlock = await lock();
  const first = seats.send(db, request(0));
  await hanging(1);
  const behind = seats.send(db, request(1));
  await hanging(2);
  await unlock();
  expect(await Promise.all([first, behind])).toEqual([expect.anything(), expect.anything()]);
});

it("leaves connections to others while requests for many locked seats wait", async () => {
  const small = openDatabase({ url, poolMax: 6 }, pino({ level: "silent" }));
  onTestFinished(() => small.close());
  const unlock = await lock(
    `select from seats where id = any(array['${ids.slice(0, 60).join("', '")}']::uuid[]) for update`,
  );
  const waiting = ids.slice(0, 60).map((_, n) => seats.send(small.db, request(n)));
  await eventually(async () => expect((await waitingFor("%seats%")).length).toBe(3));
  expect(await seats.send(small.db, request(60))).toBeDefined();
  await unlock();
  expect((await Promise.all(waiting)).filter((row) => row === undefined)).toEqual([]);
});

it("sends a long request at once and by itself, and no batch that is too long", async () => {
  const unlock = await lock();
  const lengths = [1, 1, 10, 200_000, 100_000, 300_000, 10, 10];
  const sent = lengths.map((length, n) => seats.send(db, request(n, { guest: `${n}`.repeat(length) })));
  await unlock();
  const [, , a, b, c, d, e, f] = (await Promise.all(sent)).map((row) => row?.xid);
  expect(new Set([b, c, d]).size).toBe(3);
  expect([a, e, f]).toEqual([b, c, c]);
});

it("a request that fails is alone with its error, and one whose seat is locked does not keep others waiting", async () => {
  const unlockTable = await lock();
  const first = [0, 1].map((n) => seats.send(db, request(n)));
  const bad = [
    request(2, { guest: "x".repeat(13) }),
    request(3, { id: "no UUID" }),
    request(4, { guest: "twice" }),
    request(5, { guest: "twice" }),
  ];
  const failing = Promise.allSettled(bad.map((each) => seats.send(db, each)));
  const good = [6, 7, 8].map((n) => seats.send(db, request(n)));
  const refused = seats.send(db, request(0));
  await unlockTable();
  expect(sizes(await Promise.all([...first, ...good]))).toEqual([1, 1, 1, 1, 1]);
  const codes = (await failing).map((each) => (each.status === "rejected" ? each.reason.code : each.value?.length));
  expect([codes.slice(0, 2), codes.slice(2).toSorted()]).toEqual([["23514", "22P02"], ["23505", 5].toSorted()]);
  expect(await refused).toBeUndefined();

  const unlockSeat = await lock(`select from seats where id = '${ids[9]}' for update`);
  let isSeated = false;
  const inBatch = seats.sendAll(db, [request(9), request(12)]).finally(() => {
    isSeated = true;
  });
  const alone = seats.send(db, request(9));
  for (const n of [13, 14, 15]) expect(await seats.send(db, request(n))).toBeDefined();
  await eventually(async () =>
    expect(await query("select id from seats where id = $1 and guest is not null", [ids[12]])).toHaveLength(1),
  );
  expect(isSeated).toBe(false);
  await unlockSeat();
  const rows = (await inBatch).map((each) => (each.status === "fulfilled" ? each.value : each));
  expect(rows[1]).toBeDefined();
  // Both wanted the locked seat, and waited for it.
  expect([rows[0], await alone].filter((row) => row !== undefined)).toHaveLength(1);
});

it("a fault of the statement itself is no request's, and shows: nothing is sent again alone", async () => {
  await query(`create function is_faulty() returns boolean language plpgsql as
    $$ begin raise exception 'no such column' using errcode = 'undefined_column'; end $$`);
  const faulty = batcher(
    batchStatement<{ id: string }, { id: string }>(
      "faulty_in_a_set",
      { id: "uuid" },
      () => sql`seated as (
        select ordinal, id from request where (select count(*) from request) = 1 or is_faulty()
      )
      select ordinal, id::text from seated`,
    ),
    () => 1,
  );
  const sent = await Promise.allSettled([0, 1, 2].map((n) => faulty.send(db, { id: ids[n] ?? "" })));
  expect(sent.map((each) => each.status === "rejected" && each.reason.code)).toEqual(Array(3).fill("42703"));
  await expect(faulty.sendAll(db, [{ id: ids[0] ?? "" }, { id: ids[1] ?? "" }])).rejects.toMatchObject({
    code: "42703",
  });
  expect(await faulty.send(db, { id: ids[0] ?? "" })).toMatchObject({ id: ids[0] });
});

it("what a broken connection was about is sent no second time", async () => {
  const unlock = await lock();
  const first = Promise.allSettled([seats.send(db, request(0))]);
  await hanging(1);
  const batch = Promise.allSettled([2, 3, 4].map((n) => seats.send(db, request(n))));
  let isOver = false;
  const both = Promise.all([first, batch]).finally(() => {
    isOver = true;
  });
  const broken = new Set();
  await eventually(async () => {
    for (const { pid } of await waitingFor("%seats%")) {
      await query("select pg_terminate_backend($1)", [pid]);
      broken.add(pid);
    }
    expect(isOver).toBe(true);
  });
  const codes = (await both).flat().map((each) => each.status === "rejected" && each.reason.code);
  expect(codes).toEqual(Array(4).fill("57P01"));
  expect(broken.size).toBe(2);
  await unlock();
  expect(await query("select id from seats where guest is not null")).toEqual([]);
});

it("a request that waited for 10 s to be sent is refused, and those behind it are not", async () => {
  const unlock = await lock();
  const first = seats.send(db, request(0));
  await hanging(1);
  const late = expect(seats.send(db, request(2))).rejects.toThrow("The database does not keep up now.");
  const now = performance.now();
  const clock = vi.spyOn(performance, "now").mockReturnValue(now + 10_001);
  onTestFinished(() => clock.mockRestore());
  const inTime = seats.send(db, request(3));
  await unlock();
  await late;
  expect(sizes(await Promise.all([first, inTime]))).toEqual([1, 1]);
  expect(await query("select id from seats where guest is not null")).toHaveLength(2);
});

it("what is sent inside a transaction is part of it", async () => {
  const gone = db.transaction(async (tx) => {
    await Promise.all([0, 1, 2].map((n) => seats.send(tx, request(n))));
    throw new Error("Nothing of it stays.");
  });
  await expect(gone).rejects.toThrow("Nothing of it stays.");
  expect(await query("select id from seats where guest is not null")).toEqual([]);
});
