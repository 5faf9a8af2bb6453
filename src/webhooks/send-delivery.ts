import { boundedFetch, NetworkFault } from "../fleet/bounded-fetch.ts";
import type { Outbound } from "../fleet/outbound.ts";
import { isoTime } from "../format-iso-time.ts";
import type { SecretBox } from "../saved-config/secret-box.ts";
import { sealName } from "./change-webhooks.ts";
import type { ClaimedDelivery } from "./delivery-claim-parts.ts";
import { retryAfterMs } from "./delivery-times.ts";
import { signedHeaders } from "./signature.ts";

/** How long a receiver has for its answer. */
const ANSWER_WITHIN_MS = 15_000;

/** What messages are sent with. */
export interface Sending {
  outbound: Outbound;
  /** Opens the secrets of webhooks. */
  box: SecretBox;
  /** What signs callbacks. */
  callbackSecrets: readonly string[];
}

/** How a call went. A delivery is taken when the receiver answered with 2xx. */
export interface SendOutcome {
  isTaken: boolean;
  /** The HTTP status; null: there was no answer. */
  status: number | null;
  error: string | null;
  /** The receiver cannot take any message now. */
  isTargetDown: boolean;
  /** The receiver says with 410 that it will never take anything again. */
  isGone: boolean;
  retryAfterMs: number;
}

const FAILED: SendOutcome = {
  isTaken: false,
  status: null,
  error: null,
  isTargetDown: false,
  isGone: false,
  retryAfterMs: 0,
};

const NO_SECRET = "its secret was encrypted with another SETTINGS_KEY: rotate the webhook's secret";
const NO_CALLBACK_SECRET = "CALLBACK_SECRET, which signs callbacks, is not set on this instance";

/** The body of a message: ids, the type and the time. What has changed is read from the service. */
export function bodyOf({ type, occurred_at, task_id, entity_type, entity_id, entry_id }: ClaimedDelivery): string {
  return JSON.stringify({
    type,
    timestamp: isoTime(occurred_at),
    data: { task_id, entity_type, entity_id, audit_id: entry_id },
  });
}

/** Sends a delivery, once. Throws the reason of `signal` when that is aborted. */
export async function sendDelivery(
  { outbound, box, callbackSecrets }: Sending,
  delivery: ClaimedDelivery,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const isCallback = delivery.secret === null;
  const secrets = isCallback ? callbackSecrets : secretsOf(box, delivery);
  if (secrets.length === 0) return { ...FAILED, error: isCallback ? NO_CALLBACK_SECRET : NO_SECRET };
  const body = bodyOf(delivery);
  const message = { id: delivery.id, sentAt: Math.floor(delivery.now / 1_000), body };
  try {
    const { status, headers } = await boundedFetch(outbound, delivery.url, {
      target: "webhook",
      method: "POST",
      headers: new Headers({
        "content-type": "application/json",
        "user-agent": "bloom-runtime",
        ...signedHeaders(message, secrets),
      }),
      body,
      timeoutMs: ANSWER_WITHIN_MS,
      maxBytes: "unread",
      signal,
    });
    const isTaken = status >= 200 && status < 300;
    return {
      isTaken,
      status,
      error: isTaken ? null : `it answered ${status}`,
      isTargetDown: status >= 500 || status === 429 || status === 408,
      isGone: status === 410,
      retryAfterMs: retryAfterMs(headers.get("retry-after")),
    };
  } catch (error) {
    if (!(error instanceof NetworkFault)) throw error;
    return { ...FAILED, error: error.message.slice(0, 500), isTargetDown: true };
  }
}

/** The secrets of a webhook, the newest first; none where they cannot be opened. */
function secretsOf(box: SecretBox, { target, secret, previous_secret }: ClaimedDelivery): string[] {
  const sealed = [secret, previous_secret].filter((one) => one !== null);
  return sealed.map((one) => box.open(sealName(target), one)).filter((one) => one !== undefined);
}
