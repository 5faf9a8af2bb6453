import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { expect, it } from "vitest";
import { useConnections } from "../../src/db/last-connection.ts";
import { eventually } from "../support/eventually.ts";

/** Connections of a pool of six, on a server where these tables are locked, and those to whom connections were given, by what they read. */
function sixConnections(locked: string[]) {
  let asked = 0;
  const connections = useConnections(6, async () => {
    asked += 1;
    return { rows: locked.map((name) => ({ name })) } as pg.QueryResult<{ name: string }>;
  });
  const given: string[] = [];
  const use = (text: string, withinMs = 10_000) => {
    const taking = connections.take(text.startsWith("change") ? undefined : text, withinMs);
    taking.then(
      () => given.push(text),
      () => {},
    );
    return taking;
  };
  return { connections, use, given, asked: () => asked };
}

const READ = "select from audit_logs join workers";

it("keep the last one from reads of a locked table, and from changes", async () => {
  const { connections, use, given, asked } = sixConnections(["audit_logs"]);
  await Promise.all(Array.from({ length: 5 }, () => use(READ)));
  const late = [use(READ, 1_000), use("change", 1_000)].map((each) =>
    expect(each).rejects.toMatchObject({ code: "55P03" }),
  );
  const leave = await use("select from workers");
  void use("select from leases");
  await delay(200);
  expect(given).toEqual([...Array(5).fill(READ), "select from workers"]);
  leave();
  await eventually(() => expect(given.at(-1)).toBe("select from leases"));
  await Promise.all(late);
  expect(connections.waiting()).toBe(0);
  expect(asked()).toBeGreaterThan(1);
});

it("keep the last one while all reads are newer than what the server said", async () => {
  const { use, given } = sixConnections([]);
  const first = await Promise.all(Array.from({ length: 5 }, () => use(READ)));
  for (const name of ["one", "two"]) void use(`select from ${name}`);
  await eventually(() => expect(given).toContain("select from one"));
  // Somebody locks the table now. The server is asked again, but later than this.
  for (let n = 0; n < 5; n++) void use("select from locked");
  for (const leave of first) leave();
  await Promise.resolve();
  expect(given.filter((text) => text === "select from locked").length).toBeLessThan(4);
});

it("do not ask the server about waits that are soon over", async () => {
  const { use, given, asked } = sixConnections([]);
  const [leave] = await Promise.all(Array.from({ length: 5 }, () => use(READ)));
  const next = use("select from workers");
  leave?.();
  (await next)();
  await delay(250);
  expect([given.length, asked()]).toEqual([6, 0]);
});
