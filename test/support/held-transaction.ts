import type { SQL } from "drizzle-orm";
import { onTestFinished } from "vitest";
import type { Db } from "../../src/db/client.ts";

/**
 * Runs the statement, or what is done with the transaction, in a transaction that stays open; resolves when it has run. The function that it gives
 * commits, and resolves then with what was done. At the end of the test it commits by itself.
 */
export async function holdTransaction<Done>(
  db: Db,
  work: SQL | string | ((tx: Db) => Promise<Done>),
): Promise<() => Promise<Done | undefined>> {
  let commit = () => {};
  const held = new Promise<void>((resolve) => {
    commit = resolve;
  });
  let whole: Promise<Done | undefined> = Promise.resolve(undefined);
  await new Promise<void>((begun, failed) => {
    whole = db.transaction(async (tx) => {
      const done = typeof work === "function" ? await work(tx) : void (await tx.execute(work));
      begun();
      await held;
      return done;
    });
    whole.catch(failed);
  });
  const end = () => {
    commit();
    return whole;
  };
  onTestFinished(async () => void (await end()));
  return end;
}
