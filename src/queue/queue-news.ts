import type { Db } from "../db/client.ts";

/** The channel on which instances tell each other of tasks that are queued and leases that end. */
export const QUEUE_NEWS = "bloom_runtime_queue";

/** Tells those who wait for tasks, on any instance, to look again. In a transaction it is sent when that has committed. */
export function tellQueueNews(db: Db): void {
  db.tell(QUEUE_NEWS);
}
