import { expect, it, vi } from "vitest";
import { createTaskBody } from "../../src/contract/create-task.ts";
import { Unavailable } from "../../src/errors.ts";
import { createTasks } from "../../src/queue/create-many.ts";
import { createTestDatabase } from "../support/database.ts";

const { db, query } = await createTestDatabase();

const request = createTaskBody.parse({ context_id: "c", agent_slug: "a", prompt: "p" });
const check = async () => ({ request, idempotencyKey: null });

it("a call that gets no turn to check its tasks is refused, and has made nothing", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const first = createTasks(db, undefined, [1], check);
  const second = createTasks(db, undefined, [1, 2], check).catch((error: unknown) => error);
  // Half of the time of a call.
  vi.advanceTimersByTime(10_000);
  vi.useRealTimers();
  expect(await second).toEqual(expect.any(Unavailable));
  expect(await second).toMatchObject({ message: expect.stringContaining("Nothing more was created") });
  expect(await first).toMatchObject([{ status: "fulfilled" }]);
  expect(await query("select from llm_tasks")).toHaveLength(1);
  expect(await createTasks(db, undefined, [1, 2], check)).toMatchObject(Array(2).fill({ status: "fulfilled" }));
});

it("a call that gets no turn after its first groups says what it has made", async () => {
  const before = (await query("select from llm_tasks")).length;
  const sent = Array.from({ length: 130 }, (_, n) => n);
  const outcomes = await createTasks(db, undefined, sent, async (task, endAt) => {
    // Time is left to create what was checked, of the 20 s of a call.
    expect(endAt - performance.now()).toBeLessThan(10_000);
    // As where the turn of a later group comes too late.
    if (typeof task === "number" && task >= 64) throw new Unavailable("no turn");
    return await check();
  });
  expect(outcomes.map(({ status }) => status === "fulfilled")).toEqual(sent.map((n) => n < 64));
  expect(await query("select from llm_tasks")).toHaveLength(before + 64);
});
