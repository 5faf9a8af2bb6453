import type { SQL } from "drizzle-orm";
import type { Db } from "../../src/db/client.ts";

/** Runs the statement in a transaction that stays open; resolves when it has run. The function that it gives commits, and resolves then. */
export async function holdTransaction(db: Db, statement: SQL | string): Promise<() => Promise<void>> {
  let commit = () => {};
  const held = new Promise<void>((resolve) => {
    commit = resolve;
  });
  let done = Promise.resolve();
  await new Promise<void>((begun, failed) => {
    done = db.transaction(async (tx) => {
      await tx.execute(statement);
      begun();
      await held;
    });
    done.catch(failed);
  });
  return () => {
    commit();
    return done;
  };
}
