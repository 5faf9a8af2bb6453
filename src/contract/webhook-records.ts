/** Webhooks and what is sent to them: what clients may send, and the records that they read. */
import { z } from "zod";
import { DELIVERY_STATES } from "../db/statuses.ts";
import { isSecret, SECRET_RULE } from "../webhook-secret.ts";
import { typesFor } from "./event-types.ts";
import { count, id, list, time, words } from "./record-fields.ts";
import { httpUrl, optional, text } from "./request-fields.ts";

const events = z
  .array(text(64).refine((pattern) => typesFor(pattern).length > 0, "is no type of events; docs/events.md lists them"))
  .min(1)
  .max(100);
const secret = z.string().refine(isSecret, SECRET_RULE);
const WEEK_SECONDS = 604_800;
const DAY_SECONDS = 86_400;

const wanted = "Types of events, and groups of them, as `task.*`.";

export const createWebhook = z.object({
  url: httpUrl.meta({
    description: "Where the events are sent: an http:// or https:// address within `OUTBOUND_ALLOW`.",
    examples: ["https://garden.example/hooks"],
  }),
  events: events.meta({ description: wanted, examples: [["task.*"]] }),
  secret: optional(secret).describe(
    "What signs: `whsec_` and 24 to 64 bytes in Base64. One is made where none is given.",
  ),
});
export type CreateWebhook = z.output<typeof createWebhook>;

/** The changes of a webhook. A field that is not sent stays as it is. */
export const changeWebhook = z.object({
  url: optional(httpUrl).describe("Where the events are sent from now on."),
  events: optional(events).describe(wanted),
  on: optional(z.boolean()).describe("False: nothing is sent until it is turned on again."),
});
export type ChangeWebhook = z.output<typeof changeWebhook>;

export const rotateSecret = z.object({
  secret: optional(secret).describe("The new secret. One is made where none is given."),
  keep_seconds: z
    .int()
    .min(0)
    .max(WEEK_SECONDS)
    .default(DAY_SECONDS)
    .describe("For how long the secret before signs too, in seconds."),
});
export type RotateSecret = z.output<typeof rotateSecret>;

export const webhookRecord = z
  .object({
    id: id("The id of the webhook."),
    url: words("Where events are sent.", "https://garden.example/hooks"),
    events: list("The types of events that are sent, and groups of them.", "task.*"),
    previous_secret_until: time("Until then, what is sent is signed with the secret before too.").nullable(),
    off_since: time("Since when nothing is sent; null: it is on.").nullable(),
    off_reason: words("Why nothing is sent.").nullable(),
    created_at: time("When it was made."),
    updated_at: time("When it was changed last."),
    last_success_at: time("About when the receiver last took something.").nullable(),
  })
  .meta({ id: "Webhook", description: "An address that is told of events." });
export type Webhook = z.output<typeof webhookRecord>;

export const webhookWithSecret = webhookRecord.extend({
  secret: words("What signs, which is shown only now.", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
});
export type WebhookWithSecret = z.output<typeof webhookWithSecret>;

export const removedWebhook = z.object({ removed: z.literal(true), id: id("The webhook's id.") });

export const deliveryRecord = z
  .object({
    id: id("The `webhook-id` of the message: the same at each attempt."),
    webhook_id: id("The webhook that it is for; null: the `callback_url` of a task.").nullable(),
    url: words("The address of a callback; null: the webhook has it.").nullable(),
    type: words("The type of the event.", "task.completed"),
    task_id: words("The task that the event is about; null: it is about none.").nullable(),
    entity_type: words("What kind of thing was changed.", "llm_task"),
    entity_id: words("Which one."),
    occurred_at: time("When it happened."),
    state: z.enum(DELIVERY_STATES).describe("`pending`: it is tried until it is `delivered`, or `failed`."),
    attempts: count("How often it was sent.", 1),
    next_at: time("When it is tried next; null: it has ended.").nullable(),
    created_at: time("When it was queued."),
    ended_at: time("When it was delivered or given up.").nullable(),
    last_status: count("The HTTP status of the last answer; null: there was none.", 200).nullable(),
    last_error: words("Why the last attempt failed.").nullable(),
  })
  .meta({ id: "Delivery", description: "An event that is sent to one receiver." });
export type Delivery = z.output<typeof deliveryRecord>;
