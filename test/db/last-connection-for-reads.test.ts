import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { openTablePlaces } from "../../src/db/last-connection-for-reads.ts";
import { eventually } from "../support/eventually.ts";

/** The places of a pool of six, on a server where these tables are locked, and the statements to which places were given. */
function sixPlaces(locked: string[]) {
  let asked = 0;
  const places = openTablePlaces(6, async () => {
    asked += 1;
    return { rows: locked.map((name) => ({ name })) };
  });
  const given: string[] = [];
  const take = (text: string, withinMs = 10_000) => {
    const taking = places.take(text.startsWith("change") ? undefined : text, withinMs);
    taking.then(
      () => given.push(text),
      () => {},
    );
    return taking;
  };
  return { places, take, given, asked: () => asked };
}

const READ = "select from audit_logs join workers";

it("the last connection is kept from reads of a locked table, and from changes", async () => {
  const { places, take, given, asked } = sixPlaces(["audit_logs"]);
  await Promise.all([...Array.from({ length: 4 }, () => take(READ)), take("change")]);
  const late = [take(READ, 1_000), take("change", 1_000)].map((each) =>
    expect(each).rejects.toMatchObject({ code: "55P03" }),
  );
  const leave = await take("select from workers");
  void take("select from leases");
  await delay(200);
  expect(given).toEqual([...Array(4).fill(READ), "change", "select from workers"]);
  leave();
  await eventually(() => expect(given.at(-1)).toBe("select from leases"));
  await Promise.all(late);
  expect(places.waiting()).toBe(0);
  expect(asked()).toBeGreaterThan(1);
});

it("the last connection is given to nobody while all reads are newer than what the server said", async () => {
  const { take, given } = sixPlaces([]);
  const first = await Promise.all(Array.from({ length: 4 }, () => take(READ)));
  for (const name of ["one", "two"]) void take(`select from ${name}`);
  await eventually(() => expect(given).toContain("select from one"));
  // Somebody locks the table now. The server is asked again, but later than this.
  for (let n = 0; n < 5; n++) void take("select from locked");
  for (const leave of first) leave();
  await Promise.resolve();
  // Two others have a place, and the last is kept: three of six are left.
  expect(given.filter((text) => text === "select from locked").length).toBeLessThan(4);
});

it("the server is not asked about waits that are soon over", async () => {
  const { take, given, asked } = sixPlaces([]);
  const [leave] = await Promise.all(Array.from({ length: 4 }, () => take(READ)));
  const next = take("select from workers");
  leave?.();
  (await next)();
  await delay(250);
  expect([given.length, asked()]).toEqual([5, 0]);
});

it("reads leave a connection to changes, before and after the last one is given to a read", async () => {
  const { places, take, given } = sixPlaces(["audit_logs"]);
  for (let n = 0; n < 12; n++) void take(READ, 1_000);
  await Promise.resolve();
  expect([given.length, places.waiting()]).toEqual([4, 8]);
  (await take("change one"))();
  const leave = await take("select from workers");
  const leaveChange = await take("change two");
  void take("change three");
  await delay(200);
  expect(given.slice(4)).toEqual(["change one", "select from workers", "change two"]);
  leaveChange();
  await eventually(() => expect(given.at(-1)).toBe("change three"));
  leave();
  await eventually(() => expect(places.waiting()).toBe(0));
  expect(given.filter((text) => text === READ).length).toBe(4);
});
