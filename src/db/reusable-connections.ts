import type pg from "pg";
import { cancelRunningStatement } from "./cancel-running-statement.ts";
import { databaseErrorOf, faultOf } from "./faults.ts";

/**
 * Knows which of the pool's connections may be used again. The others are closed: a statement on them was given up or met a fault of the
 * connection, or they lead to a server that takes no changes any more.
 */
export interface ReusableConnections {
  /** Takes note of a new connection. */
  add(client: pg.PoolClient): void;
  /** False for a connection from before the server became read-only, or to an earlier server. */
  isCurrent(client: pg.PoolClient): boolean;
  /** False when a statement on the connection was given up, or met a fault of the connection. */
  isUsable(client: pg.PoolClient): boolean;
  /** Takes note of the error of a statement. Where the server may still run the statement, it is given up. */
  note(client: pg.PoolClient, error: unknown): void;
  /** Gives up the connection's statement, for which nobody waits any more: cancels it on the server. The connection is not used again. */
  giveUp(client: pg.PoolClient): void;
  isGivenUp(client: pg.PoolClient): boolean;
  /** Resolves when the server has been told to cancel the statement that was given up. */
  whenCancelled(client: pg.PoolClient): Promise<void>;
  /** Another server takes the changes. No connection so far is used again, and what runs on the earlier server need not be cancelled. */
  leaveServer(): void;
  /** Ends cancellations that are on their way. */
  close(): void;
}

export function createReusableConnections(): ReusableConnections {
  /** Goes up when the server has become read-only, or is another one. Connections of an earlier generation are not used again. */
  let generation = 0;
  /** The first generation of connections to the present server. */
  let arrivedIn = 0;
  /** Aborted when the server is left. */
  let left = new AbortController();
  const generationOf = new WeakMap<pg.PoolClient, number>();
  const unusable = new WeakSet<pg.PoolClient>();
  const cancelling = new WeakMap<pg.PoolClient, Promise<void>>();

  function giveUp(client: pg.PoolClient): void {
    unusable.add(client);
    if (cancelling.has(client) || (generationOf.get(client) ?? 0) < arrivedIn) return;
    cancelling.set(client, cancelRunningStatement(client, left.signal));
  }

  return {
    add: (client) => void generationOf.set(client, generation),
    isCurrent: (client) => generationOf.get(client) === generation,
    isUsable: (client) => !unusable.has(client),
    note(client, error) {
      const drops = faultOf(error)?.drops ?? "none";
      if (drops === "all") generation += 1;
      if (drops !== "none") unusable.add(client);
      // The server may still run the statement, unless it was the server that ended the connection.
      if (drops === "one" && !databaseErrorOf(error)) giveUp(client);
    },
    giveUp,
    isGivenUp: (client) => cancelling.has(client),
    whenCancelled: async (client) => await cancelling.get(client),
    leaveServer() {
      arrivedIn = ++generation;
      left.abort();
      left = new AbortController();
    },
    close: () => left.abort(),
  };
}
