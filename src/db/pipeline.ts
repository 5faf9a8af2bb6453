import pg from "pg";
import type { Logger } from "pino";

/** Statements that need no transaction around them, on connections that do not wait for an answer before they take the next. */
export interface Pipeline {
  query(query: pg.QueryConfig): Promise<pg.QueryResult>;
  /** Lets what was asked be answered. */
  close(): Promise<void>;
}

/**
 * With each statement waiting for the one before it on a connection of its own, PostgreSQL and the service woke each other up for every
 * single one: two connections that are fed without a pause do a fifth more lifecycles a second than six of the pool, and three are no faster.
 */
const LANES = 2;

interface Lane {
  client: Promise<pg.Client> | undefined;
  /** Statements that are not answered yet. */
  waiting: number;
}

/**
 * Opens nothing yet: the first statement connects, and so does the first one after a connection was lost. Each statement is a transaction of
 * its own. One that waits for a lock keeps those behind it waiting; one that is not answered within the config's `query_timeout` costs the
 * connection, and those behind it fail with it. `begin` is the SQL that every connection begins with.
 */
export function openPipeline(config: pg.ClientConfig, begin: string, log: Logger): Pipeline {
  const lanes: Lane[] = Array.from({ length: LANES }, () => ({ client: undefined, waiting: 0 }));

  async function connect(lost: () => void): Promise<pg.Client> {
    const client = new pg.Client({ ...config, pipeline: true });
    client.once("end", lost);
    client.on("error", (error) => log.debug({ err: error }, "database connection lost"));
    try {
      await client.connect();
      await client.query(begin);
      return client;
    } catch (error) {
      lost();
      // It has nothing to say goodbye to.
      client.end().catch(() => {});
      throw error;
    }
  }

  function clientOf(lane: Lane): Promise<pg.Client> {
    if (lane.client) return lane.client;
    const client = connect(() => {
      if (lane.client === client) lane.client = undefined;
    });
    lane.client = client;
    return client;
  }

  return {
    async query(query) {
      const lane = lanes.reduce((best, one) => (one.waiting < best.waiting ? one : best));
      lane.waiting += 1;
      try {
        return await (await clientOf(lane)).query(query);
      } finally {
        lane.waiting -= 1;
      }
    },
    async close() {
      // One that cannot be opened is closed.
      await Promise.allSettled(lanes.map(async ({ client }) => (await client)?.end()));
    },
  };
}
