import pino from "pino";
import { expect, test } from "vitest";
import { coalesceRuns } from "../src/coalesce-runs.ts";

/** A function that asks for runs, and the ends of the runs that have begun. */
function controlledRuns() {
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const run = () => new Promise<void>((resolve, reject) => ends.push({ resolve, reject }));
  return { ends, runSoon: coalesceRuns(pino({ level: "silent" }), "a run of the test", run) };
}

test("calls during a run share one further run", async () => {
  const { ends, runSoon } = controlledRuns();
  const all = [runSoon(), runSoon(), runSoon()];
  expect(ends).toHaveLength(1);
  ends[0]?.resolve();
  await expect.poll(() => ends.length).toBe(2);
  ends[1]?.resolve();
  await Promise.all(all);
  expect(ends).toHaveLength(2);
});

test("a run that was asked for while another one failed is made", async () => {
  const { ends, runSoon } = controlledRuns();
  const all = [runSoon(), runSoon()];
  ends[0]?.reject(new Error("The database is gone."));
  await expect.poll(() => ends.length).toBe(2);
  ends[1]?.reject(new Error("The database is gone."));
  await Promise.all(all);
  expect(ends).toHaveLength(2);
});
