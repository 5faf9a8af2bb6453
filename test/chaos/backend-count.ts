import pg from "pg";

/**
 * The most backends of the service that may run at once: each of two instances has a pool of 6, a listener and a cancel request on its way, and
 * one that was just killed may leave as many behind until their statements end.
 */
const MOST_BACKENDS = 2 * 2 * (6 + 2);

/**
 * Counts the database's backends, but for its own, and says at the end whether there were ever too many. A statement that nobody waits for
 * any more must not go on.
 */
export function createBackendCount(url: string) {
  let most = 0;
  return {
    async count(): Promise<void> {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
      client.on("error", () => {});
      try {
        await client.connect();
        const { rows } = await client.query(
          "select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        );
        most = Math.max(most, rows[0].n);
      } catch {
        // The database is away just now, which is one of the faults.
      } finally {
        await client.end().catch(() => {});
      }
    },
    most: () => most,
    violations: () => (most > MOST_BACKENDS ? [`${most} backends ran at once; ${MOST_BACKENDS} are the most.`] : []),
  };
}
