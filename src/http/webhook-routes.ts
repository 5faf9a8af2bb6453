import type { Allowed } from "../callable-addresses.ts";
import * as queries from "../contract/queries.ts";
import * as records from "../contract/webhook-records.ts";
import type { SecretBox } from "../saved-config/secret-box.ts";
import { urlFault } from "../webhooks/callable-url.ts";
import { changeWebhook, createWebhook, removeWebhook, rotateSecret } from "../webhooks/change-webhooks.ts";
import { deliveryList } from "../webhooks/delivery-list.ts";
import { resend } from "../webhooks/resend-delivery.ts";
import { getWebhook, listWebhooks } from "../webhooks/webhook-list.ts";
import { pageOf } from "./answer-declarations.ts";
import { InvalidBody } from "./parse-request.ts";
import { ADMINS, type Route, route } from "./route.ts";
import { sendList } from "./send-list.ts";

const PATH = "/api/runtime/webhooks";
const NO_WEBHOOK = { 404: "There is no such webhook." };

/** `/api/runtime/webhooks`: who is told of events, at addresses within `allowed`; and `/api/runtime/webhook-deliveries`: what they were told. */
export function webhookRoutes(box: SecretBox, allowed: Allowed | undefined): Route[] {
  const requireCallable = (url: string | undefined) => {
    const fault = url === undefined ? undefined : urlFault(url, allowed);
    if (fault !== undefined) throw InvalidBody.of("url", `must not be called: ${fault}`);
  };
  return [
    route({
      name: "createWebhook",
      summary: "Have events sent to an address",
      method: "post",
      path: PATH,
      access: ADMINS,
      schema: records.createWebhook,
      description: "Signed by the Standard Webhooks specification, with a secret that is shown only in this answer.",
      answers: {
        201: { means: "The webhook, with its secret.", json: records.webhookWithSecret },
        409: "There are 100 webhooks already.",
      },
      handle: async ({ response, db, caller, body }) => {
        const asked = body();
        requireCallable(asked.url);
        response.status(201).json(await createWebhook(db, caller, box, asked));
      },
    }),
    route({
      name: "listWebhooks",
      summary: "List the webhooks",
      method: "get",
      path: PATH,
      access: ADMINS,
      answers: { 200: { means: "All webhooks, newest first.", json: records.webhookRecord.array() } },
      handle: async ({ response, db }) => response.json(await listWebhooks(db)),
    }),
    route({
      name: "getWebhook",
      summary: "Read a webhook",
      method: "get",
      path: `${PATH}/:id`,
      access: ADMINS,
      answers: { 200: { means: "The webhook.", json: records.webhookRecord }, ...NO_WEBHOOK },
      handle: async ({ response, db, params }) => response.json(await getWebhook(db, params.id)),
    }),
    route({
      name: "changeWebhook",
      summary: "Change a webhook, turn it on or off",
      method: "patch",
      path: `${PATH}/:id`,
      access: ADMINS,
      schema: records.changeWebhook,
      description: "What is not sent stays as it is. Turned on, it sends what was pending when it was turned off.",
      answers: { 200: { means: "The webhook.", json: records.webhookRecord }, ...NO_WEBHOOK },
      handle: async ({ response, db, caller, params, body }) => {
        const asked = body();
        requireCallable(asked.url);
        response.json(await changeWebhook(db, caller, params.id, asked));
      },
    }),
    route({
      name: "rotateWebhookSecret",
      summary: "Change the secret of a webhook",
      method: "post",
      path: `${PATH}/:id/rotate`,
      access: ADMINS,
      schema: records.rotateSecret,
      description: "The secret before signs too for `keep_seconds` (a day).",
      answers: { 200: { means: "The webhook, with its new secret.", json: records.webhookWithSecret }, ...NO_WEBHOOK },
      handle: async ({ response, db, caller, params, body }) =>
        response.json(await rotateSecret(db, caller, box, params.id, body())),
    }),
    route({
      name: "removeWebhook",
      summary: "Remove a webhook",
      method: "delete",
      path: `${PATH}/:id`,
      access: ADMINS,
      description: "What was still to be sent to it is dropped.",
      answers: { 200: { means: "It is removed.", json: records.removedWebhook }, ...NO_WEBHOOK },
      handle: async ({ response, db, caller, params }) => {
        await removeWebhook(db, caller, params.id);
        response.json({ removed: true, id: params.id });
      },
    }),
    route({
      name: "listDeliveries",
      summary: "List what was sent to webhooks and callbacks",
      method: "get",
      path: "/api/runtime/webhook-deliveries",
      access: ADMINS,
      query: queries.deliveryFilter,
      answers: pageOf(records.deliveryRecord, "The deliveries, newest first, for 7 days."),
      handle: ({ request, response, db, query }) => {
        const { limit, after, ...filter } = query();
        return sendList(request, response, db, deliveryList(filter), { limit, after });
      },
    }),
    route({
      name: "resendDelivery",
      summary: "Send a delivery again",
      method: "post",
      path: "/api/runtime/webhook-deliveries/:id/resend",
      access: ADMINS,
      answers: {
        202: "It is sent again soon.",
        404: "There is no such delivery.",
        409: "Its webhook is off or removed.",
      },
      handle: async ({ response, db, caller, params }) => {
        await resend(db, caller, params.id);
        response.status(202).end();
      },
    }),
  ];
}
