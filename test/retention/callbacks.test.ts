import { expect, it } from "vitest";
import { NOBODY } from "../../src/caller.ts";
import { cancelTask } from "../../src/queue/cancel.ts";
import { retainOnce } from "../../src/retention/retain-once.ts";
import { preparePosition, queueDeliveries } from "../../src/webhooks/queue-deliveries.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aTask } from "../support/factories.ts";
import { holdTransaction } from "../support/held-transaction.ts";
import { inDatabase } from "../support/output-storage.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { db, query } = await createTestDatabase();
const folder = await temporaryFolder("bloom-retention-");
const callback_url = "http://127.0.0.1:9/told";

async function removedByPass(): Promise<number> {
  await query("update llm_tasks set created_at = 1, updated_at = 1");
  const retention = { store: inDatabase, folder, days: { tasks: 1, auditEntries: 0 } };
  return (await retainOnce(db, retention, new AbortController().signal))["tasks removed"];
}
const left = async () => (await query<{ id: string }>("select id from llm_tasks")).map(({ id }) => id);

it("an old task stays until its callback was queued, however long a transaction holds the events back", async () => {
  await preparePosition(db);
  // As a backup does, of any database on the server.
  const commit = await holdTransaction(db, "select pg_current_xact_id()");
  const [told, silent] = [await aTask(db, { callback_url }), await aTask(db)];
  for (const { id } of [told, silent]) await cancelTask(db, NOBODY, id, "");
  expect(await queueDeliveries(db)).toBe(0);
  expect([await removedByPass(), await left()]).toEqual([1, [told.id]]);

  await commit();
  await eventually(async () => {
    await queueDeliveries(db);
    expect(await query("select url, task_id from runtime_webhook_deliveries")).toEqual([
      { url: callback_url, task_id: told.id },
    ]);
  });
  // Entries of a later moment about other things are of no concern.
  const later = await aTask(db, { callback_url });
  await eventually(async () => expect([await removedByPass(), await left()]).toEqual([1, [later.id]]));
});
