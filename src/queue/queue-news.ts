import type { Db } from "../db/client.ts";

/** The channel on which instances tell each other that a task was queued or has ended, or a lease has ended. */
export const QUEUE_NEWS = "bloom_runtime_queue";

/**
 * Tells those who wait on all instances to look again, for new tasks and for ended ones. Inside a transaction, the message is sent after
 * the commit.
 */
export function tellQueueNews(db: Db): void {
  db.tell(QUEUE_NEWS);
}
