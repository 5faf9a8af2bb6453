import type { Db } from "../db/client.ts";

/** The channel on which instances tell each other of tasks that are queued and leases that end. */
export const QUEUE_NEWS = "bloom_runtime_queue";

/** Whoever waits for tasks, on any instance, may look again. Told when it is committed. */
export function tellQueueNews(db: Db): void {
  db.tell(QUEUE_NEWS);
}
