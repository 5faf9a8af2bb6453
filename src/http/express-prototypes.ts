import { IncomingMessage, type RequestListener, type ServerOptions, ServerResponse } from "node:http";

/**
 * Options for the http server under which its requests and responses are made with Express's methods from the start. Express gives each one another
 * prototype when it arrives, and V8 then gives up what it has learned about such objects. With these options the prototype is there already, so that
 * Express need not replace it, and bare Express answers twice as many requests a second. A listener that is no Express app,
 * or an app that keeps its methods elsewhere, gets a plain server: slower, and right.
 */
export function stablePrototypes(app: RequestListener & { request?: unknown; response?: unknown }): ServerOptions {
  const { request, response } = app;
  if (!(request instanceof IncomingMessage) || !(response instanceof ServerResponse)) return {};
  class StableRequest extends IncomingMessage {}
  class StableResponse<Asked extends IncomingMessage> extends ServerResponse<Asked> {}
  Object.setPrototypeOf(StableRequest.prototype, request);
  Object.setPrototypeOf(StableResponse.prototype, response);
  Object.assign(app, { request: StableRequest.prototype, response: StableResponse.prototype });
  return { IncomingMessage: StableRequest, ServerResponse: StableResponse };
}
