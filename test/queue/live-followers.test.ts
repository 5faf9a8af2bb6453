import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { openLiveFollowers } from "../../src/queue/live-followers.ts";
import { cleanLiveOutput } from "../../src/queue/live-output.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();
const MB = 1024 * 1024;
/** A control character is six bytes in JSON. */
const CONTROL = "\u0001";

beforeEach(() => query("truncate llm_tasks, runtime_live_output"));

/** A task that has printed these pieces. */
async function aTaskThatPrinted(...texts: string[]): Promise<string> {
  const { id } = await aTask(db);
  await query(
    `insert into runtime_live_output (task_id, lease_id, seq, text, bytes, created_at)
      select $1, gen_random_uuid(), seq, text, octet_length(text), 1 from unnest($2::text[]) with ordinality as piece (text, seq)`,
    [id, texts],
  );
  return id;
}

/** Follows tasks until the end of the test; gives the texts that each follower got, in the order in which they came. */
function followers() {
  const all = openLiveFollowers(db);
  const taken: { name: string; bytes: number; number: number }[] = [];
  const follow = (name: string, taskId: string, isFull = () => false) => {
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    let number = 0;
    const take = (pieces: { text: string }[]) => {
      for (const { text } of pieces) {
        number += 1;
        taken.push({ name, bytes: text.length, number });
      }
    };
    return all.follow({ taskId, after: 0, take, isFull }, stop.signal);
  };
  return { follow, taken };
}

const sumOf = (taken: { bytes: number }[]) => taken.reduce((sum, { bytes }) => sum + bytes, 0);

describe("those who follow live output", () => {
  it("get it in looks of a bounded size, and who was given least gets it first", async () => {
    const { follow, taken } = followers();
    const texts = Array.from({ length: 4 }, () => CONTROL.repeat(64 * 1024));
    const long = await Promise.all(Array.from({ length: 40 }, () => aTaskThatPrinted(...texts)));
    const short = await aTaskThatPrinted("mark");
    const run = vi.spyOn(db, "run");
    onTestFinished(() => run.mockRestore());
    for (const [n, task] of long.entries()) void follow(`long ${n}`, task);
    void follow("short", short);
    await eventually(() => expect(sumOf(taken)).toBe(40 * 256 * 1024 + 4));
    const sizes = await Promise.all(run.mock.results.map(async ({ value }) => JSON.stringify(await value).length));
    expect(Math.max(...sizes)).toBeLessThan(6.5 * MB);
    // The first follower is looked for alone. In the next look, the short output comes with those of the others.
    expect(
      sumOf(
        taken.slice(
          0,
          taken.findIndex(({ name }) => name === "short"),
        ),
      ),
    ).toBeLessThan(2 * MB);
    // Nobody gets a third piece while somebody waits for the first.
    const firsts = taken.flatMap(({ number }, at) => (number === 1 ? [at] : []));
    expect(taken.slice(1, firsts.at(-1)).filter(({ number, name }) => number > 2 && name !== "long 0")).toEqual([]);
  });

  it("stay when a look fails, and get everything by the next", async () => {
    const { follow, taken } = followers();
    const task = await aTaskThatPrinted("one");
    const run = vi.spyOn(db, "run").mockRejectedValueOnce(new Error("canceling statement due to statement timeout"));
    onTestFinished(() => run.mockRestore());
    let hasEnded = false;
    void follow("it", task).then(
      () => {
        hasEnded = true;
      },
      () => {
        hasEnded = true;
      },
    );
    await eventually(() => expect([taken.length, hasEnded]).toEqual([1, false]));
  });

  it("get nothing more before they have taken what they got", async () => {
    const { follow, taken } = followers();
    const task = await aTaskThatPrinted("one");
    let isFull = true;
    void follow("slow", task, () => isFull);
    void follow("quick", task);
    await eventually(() => expect(taken.map(({ name }) => name)).toEqual(["quick"]));
    isFull = false;
    await eventually(() => expect(taken.map(({ name }) => name)).toEqual(["quick", "slow"]));
  });

  it("are done when the task has ended and they have got all of its pieces", async () => {
    const { follow, taken } = followers();
    const task = await aTaskThatPrinted(...Array.from({ length: 250 }, (_, n) => String(n)));
    await query("update llm_tasks set status = 'cancelled', updated_at = extract(epoch from now()) * 1000");
    await follow("it", task);
    expect(taken.length).toBe(250);
    expect(await cleanLiveOutput(db)).toBe(0);
  });
});
