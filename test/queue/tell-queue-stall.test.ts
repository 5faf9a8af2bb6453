import { describe, expect, it } from "vitest";
import { tellQueueStall } from "../../src/queue/tell-queue-stall.ts";
import { createTestDatabase } from "../support/database.ts";
import { aLeasedTask, aTask } from "../support/factories.ts";

const { db, query } = await createTestDatabase();

describe("a stall", () => {
  const stalls = () =>
    query<{ entity_id: string }>("select entity_id from audit_logs where action = 'queue_stalled' order by seq");

  it("is told once, when the same task has been the oldest that is due for long", async () => {
    await query("truncate llm_tasks, leases");
    const first = await aTask(db);
    await aTask(db);
    expect(await tellQueueStall(db, 60)).toBe(0);
    // The oldest has been that for long, but another one may have been before it.
    await query("update llm_tasks set updated_at = updated_at - 3600000");
    expect(await tellQueueStall(db, 60)).toBe(0);
    await query("update runtime_queue_head set since = since - 3600000");
    expect(await tellQueueStall(db, 0)).toBe(0);
    expect(await Promise.all([tellQueueStall(db, 60), tellQueueStall(db, 60)])).toContain(1);
    expect(await tellQueueStall(db, 60)).toBe(0);
    expect(await stalls()).toEqual([{ entity_id: first.id }]);
    // A task that nobody may take, since its key is held, is not the oldest.
    await query("update llm_tasks set status = 'cancelled' where id = $1", [first.id]);
    await aLeasedTask(db, { task: { concurrency_key: "k" } });
    const waiting = await aTask(db, { concurrency_key: "k" });
    await query("update llm_tasks set updated_at = 1 where id = $1", [waiting.id]);
    await tellQueueStall(db, 60);
    const [head] = await query<{ task_id: string; is_told: boolean }>(
      "select task_id, is_told from runtime_queue_head",
    );
    expect(head).toMatchObject({ is_told: false });
    expect([first.id, waiting.id]).not.toContain(head?.task_id);
  });
});
