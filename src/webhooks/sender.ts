import { coalesceRuns } from "../coalesce-runs.ts";
import type { Db } from "../db/client.ts";
import { messageOf } from "../errors.ts";
import { claimDeliveries } from "./claim-deliveries.ts";
import { type ClaimedDelivery, PER_TARGET } from "./delivery-claim-parts.ts";
import { queueDeliveries } from "./queue-deliveries.ts";
import { giveBack, recordDelivery } from "./record-delivery.ts";
import { type Sending, sendDelivery } from "./send-delivery.ts";

/** The most calls that an instance makes at once, to all targets together. */
const MOST_CALLS = 100;

/** Sends what webhooks are to be told, from this instance. Several instances share the work. */
export interface WebhookSender {
  /** Queues what has happened, and begins to send what is due. Does not wait for the calls. Gives how many deliveries were queued. */
  passOnce(): Promise<number>;
  /** Resolves when the calls that are made now have ended. */
  idle(): Promise<void>;
  /** Breaks the calls off, gives their deliveries back, and resolves then. */
  stop(): Promise<void>;
}

export function openWebhookSender(db: Db, sending: Sending): WebhookSender {
  const stopping = new AbortController();
  const { signal } = stopping;
  const calls = new Map<string, number>();
  const running = new Set<Promise<void>>();

  const count = (target: string, by: number) => {
    const now = (calls.get(target) ?? 0) + by;
    if (now > 0) calls.set(target, now);
    else calls.delete(target);
  };

  async function send(delivery: ClaimedDelivery): Promise<void> {
    try {
      await recordDelivery(db, delivery, await sendDelivery(sending, delivery, signal));
    } catch (error) {
      if (signal.aborted) return await giveBack(db, delivery);
      throw error;
    }
  }

  function begin(delivery: ClaimedDelivery, mayHaveMore: boolean): void {
    const { id, target } = delivery;
    count(target, 1);
    const call = send(delivery)
      // The delivery is tried again when its call counts as lost.
      .catch((error) =>
        db.log.warn({ delivery: id, reason: messageOf(error) }, "the outcome of a webhook call was not recorded"),
      )
      .finally(() => {
        count(target, -1);
        running.delete(call);
        // A target that has more messages than calls is served at once, and not only in the next pass.
        if (mayHaveMore) void claimSoon();
      });
    running.add(call);
  }

  /** Claims what is due, as far as calls are left for it. */
  const claimSoon = coalesceRuns(db.log, "the claim of due webhook deliveries", async () => {
    if (signal.aborted || running.size >= MOST_CALLS) return;
    // Copied now: calls that end while the claim runs are counted as still under way.
    const busy = new Map(calls);
    const claimed = await claimDeliveries(db, busy, MOST_CALLS - running.size);
    for (const { target } of claimed) busy.set(target, (busy.get(target) ?? 0) + 1);
    for (const delivery of claimed) begin(delivery, (busy.get(delivery.target) ?? 0) >= PER_TARGET);
  });

  async function idle(): Promise<void> {
    await Promise.all(running);
  }

  return {
    async passOnce() {
      const queued = await queueDeliveries(db);
      await claimSoon();
      return queued;
    },
    idle,
    async stop() {
      stopping.abort();
      // What the claim under way claims must be given back. To wait for that claim, this asks for another run, which claims nothing any more.
      await claimSoon();
      await idle();
    },
  };
}
