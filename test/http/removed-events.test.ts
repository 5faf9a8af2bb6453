import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Event } from "../../src/contract/event-record.ts";
import { positionText } from "../../src/events/position.ts";
import { enterEvents, readEvents } from "../../src/events/read-events.ts";
import { retainOnce } from "../../src/retention/retain-once.ts";
import { startApp } from "../support/app.ts";
import { workerEntry } from "../support/audit.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { inDatabase } from "../support/output-storage.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { db, query } = await createTestDatabase();
const { url, eventHub } = await startApp(db);
const folder = await temporaryFolder("bloom-removed-events-");
const EVENTS = `${url}/api/runtime/events`;
// A transaction of any other database on the server delays events for as long as it is open.
vi.setConfig({ testTimeout: 150_000, hookTimeout: 150_000 });
const until = (check: () => unknown) => eventually(check, { interval: 20, timeout: 60_000 });

const write = (name: string, timestamp = Date.now()) => query(workerEntry(name, timestamp));
/** Writes entries of long ago, and gives the places of all that were told. */
async function writeOld(...names: string[]) {
  for (const name of names) await write(name, 1);
  const { now } = await enterEvents(db);
  const read = async () => (await readEvents(db, { ...now, xid: 0, seq: 0 })).events;
  await until(async () => expect((await read()).map(({ event }) => event.entity_id)).toEqual(names));
  return (await read()).map(({ at }) => at);
}
/** Removes what is old. */
const removeOld = () =>
  until(async () => {
    await retainOnce(
      db,
      { store: inDatabase, folder, days: { tasks: 0, auditEntries: 1 } },
      new AbortController().signal,
    );
    expect(await query("select from audit_logs where timestamp = 1")).toEqual([]);
  });
/** What a listener got so far: of each event its name, or what it is about. */
async function listen(last?: string) {
  const stop = new AbortController();
  streams.push(stop);
  const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
  const { body } = await fetch(EVENTS, { headers, signal: stop.signal });
  let text = "";
  void (async () => {
    for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) text += piece;
  })().catch(() => {});
  return {
    told: () =>
      [...text.matchAll(/"entity_id":"([^"]+)"|^event: (reset)$/gm)].map(([, about, reset]) => about ?? reset),
    place: () => [...text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? "",
  };
}
const page = async (after: string): Promise<{ events: Event[]; next: string; reset: boolean }> =>
  (await fetch(`${EVENTS}?after=${after}`, { headers: { accept: "application/json" } })).json() as never;

const streams: AbortController[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.abort();
  await until(() => expect(eventHub.size()).toBe(0));
});
const truncate = () =>
  query(
    "alter table audit_logs disable trigger user; truncate audit_logs, runtime_retention; alter table audit_logs enable trigger user",
  );
beforeEach(truncate);

describe("events of an empty audit", () => {
  it("are all told to those who listened before the first, also when they come again", async () => {
    const stream = await listen();
    await until(() => expect(stream.place()).toMatch(/^\d+\.0\.0$/));
    const place = stream.place();
    expect(await page(place)).toEqual({ events: [], next: place, reset: false });
    await write("first");
    await until(() => expect(stream.told()).toEqual(["first"]));
    const again = await listen(place);
    await until(() => expect(again.told()).toEqual(["first"]));
  });
});

describe("a client whose place is before removed entries", () => {
  it("is told so first, and goes on from now", async () => {
    const places = await writeOld("a", "b", "c");
    const known = await listen(positionText(places[0] ?? expect.fail()));
    await until(() => expect(known.told()).toEqual(["b", "c"]));
    await removeOld();
    for (const at of [{ timeline: places[0]?.timeline ?? 0, xid: 0, seq: 0 }, ...places]) {
      const stream = await listen(positionText(at));
      await until(() => expect(stream.told()[0]).toBe("reset"));
      await write(positionText(at));
      await until(() => expect(stream.told().at(-1)).toBe(positionText(at)));
      expect(await page(positionText(at))).toMatchObject({ events: [], reset: true });
    }
  });

  it("is told so when they are removed while it waits for them", async () => {
    const [first] = await writeOld("a", "b", "c");
    const told: string[] = [];
    let isFull = true;
    const stop = new AbortController();
    await write("young");
    const { after, isKnown } = await eventHub.enter(first);
    expect(isKnown).toBe(true);
    // Another listener has led the hub to now, so that this one is behind.
    await listen();
    const following = eventHub.follow(
      {
        after,
        wants: () => true,
        take: (events) => void told.push(...events.map(({ entity_id }) => entity_id)),
        reset: () => void told.push("reset"),
        isFull: () => isFull,
      },
      stop.signal,
    );
    await removeOld();
    isFull = false;
    await until(() => expect(told).toEqual(["reset"]));
    await write("after");
    await until(() => expect(told.filter((each) => each !== "reset").at(-1)).toBe("after"));
    expect(told.slice(0, 1)).toEqual(["reset"]);
    stop.abort();
    await following;
  });

  it("is told so once while nothing is left, and then what is new, as the others are", async () => {
    const [first] = await writeOld("a", "b");
    const place = positionText(first ?? expect.fail());
    const known = await listen(place);
    await until(() => expect(known.told()).toEqual(["b"]));
    // What this transaction and later ones write is told when it has ended.
    const end = await holdTransaction(db, "select pg_current_xact_id()");
    await removeOld();
    const late = await listen(place);
    await until(() => expect(late.told()[0]).toBe("reset"));
    await write("young");
    await end();
    await until(() => expect(known.told().at(-1)).toBe("young"));
    await until(() => expect(late.told().at(-1)).toBe("young"));
    expect(late.told().filter((each) => each === "reset")).toHaveLength(1);
  });

  it("is told so after a pause in which the instance did not look, and not as long as it looks", async () => {
    onTestFinished(() => void vi.useRealTimers());
    const stream = await listen();
    await until(() => expect(stream.place()).not.toBe(""));
    await write("a");
    await until(() => expect(stream.told()).toEqual(["a"]));
    await truncate();
    await write("b");
    await until(() => expect(stream.told()).toEqual(["a", "b"]));
    await truncate();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * 3_600_000 });
    await until(() => expect(stream.told()).toEqual(["a", "b", "reset"]));
  });
});
