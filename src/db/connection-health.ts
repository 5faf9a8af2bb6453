import type pg from "pg";
import { cancelRunningStatement } from "./cancel-running-statement.ts";
import { databaseErrorOf, faultOf } from "./faults.ts";

/** What is known of the pool's connections: which are still of use, and on which a statement was given up. */
export interface ConnectionHealth {
  /** Takes note of a new connection. */
  add(client: pg.PoolClient): void;
  /** False for a connection from before the server became read-only, or to an earlier server. */
  isCurrent(client: pg.PoolClient): boolean;
  /** False when a statement on it was given up, or met a fault of the connection. */
  isUsable(client: pg.PoolClient): boolean;
  /** Takes note of what a statement met, and gives it up where the server may still be at it. */
  note(client: pg.PoolClient, error: unknown): void;
  /** Nobody waits for the connection's statement any more: it is cancelled on the server, and the connection is of no more use. */
  giveUp(client: pg.PoolClient): void;
  isGivenUp(client: pg.PoolClient): boolean;
  /** Resolves when the server has been told to end what was given up. */
  whenCancelled(client: pg.PoolClient): Promise<void>;
  /** Another server takes the changes: no connection so far is of more use, and what runs on the earlier server needs no cancelling. */
  leaveServer(): void;
  /** Ends cancellations that are on their way. */
  close(): void;
}

export function createConnectionHealth(): ConnectionHealth {
  /** Goes up when the server has become read-only, or is another one: connections of an earlier generation are of no more use. */
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
      // The server may still be at it, unless it was the server that ended the connection.
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
