import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import { clientAddressOf } from "./client-address.ts";
import { OWN_ANSWER_HEADER } from "./own-answer-header.ts";

/** What may stand in a log line and in a header; anything else is no id. */
const GIVEN = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/**
 * Makes the request's `Caller`, whose key the check of the key adds, and gives it an id, the client's own where it sends one as `X-Request-Id`; the
 * answer and the lines of the log about it carry that id.
 * `X-Bloom-Runtime` says that the answer is the runtime's own. A proxy that answers in its place does not send it, so that workers can tell
 * "no such task" from "no such route while the service is being exchanged".
 */
export const beginRequest: RequestHandler = (request, response, next) => {
  const given = request.get("x-request-id") ?? "";
  const id = GIVEN.test(given) ? given : randomUUID();
  response.setHeader("X-Request-Id", id);
  for (const [name, value] of Object.entries(OWN_ANSWER_HEADER)) response.setHeader(name, value);
  const client = clientAddressOf(request);
  response.locals.caller = { requestId: id, client, key: undefined, keyName: undefined, traceparent: undefined };
  next();
};
