import { sql } from "drizzle-orm";
import { onTestFinished } from "vitest";
import type { Db } from "../../src/db/client.ts";

/** Runs `locking` in a transaction that stays open until the function that is given is called, or the test has ended. */
export async function lock(db: Db, locking: string): Promise<() => Promise<void>> {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let whole = Promise.resolve();
  await new Promise<void>((isLocked, reject) => {
    whole = db.transaction(async (tx) => {
      await tx.execute(sql.raw(locking)).then(() => isLocked());
      await released;
    });
    whole.catch(reject);
  });
  const unlock = () => {
    release();
    return whole;
  };
  onTestFinished(unlock);
  return unlock;
}
