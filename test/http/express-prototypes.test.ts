import { createServer, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { afterAll, expect, it } from "vitest";
import { stablePrototypes } from "../../src/http/express-prototypes.ts";

it("requests and responses have Express's methods before it sees them, and keep their prototypes", async () => {
  const app = express();
  const seen: unknown[] = [];
  app.get("/", (request, response) => {
    seen.push(Object.getPrototypeOf(request), Object.getPrototypeOf(response), request.app, response.app);
    response.json({ query: request.query });
  });
  const options = stablePrototypes(app);
  const server = createServer(options, (request, response) => {
    seen.push(Object.getPrototypeOf(request), Object.getPrototypeOf(response));
    app(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterAll(() => server.close());
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?a=1`);
  expect(await answer.json()).toEqual({ query: { a: "1" } });
  const [request, response] = [options.IncomingMessage?.prototype, options.ServerResponse?.prototype];
  expect(request).toBeInstanceOf(IncomingMessage);
  expect(response).toBeInstanceOf(ServerResponse);
  expect(seen).toEqual([request, response, request, response, app, app]);
  expect([seen[0] === request, seen[2] === request, seen[3] === response]).toEqual([true, true, true]);
});

it("a listener that keeps its methods elsewhere gets a plain server", () => {
  expect(stablePrototypes(() => {})).toEqual({});
  expect(stablePrototypes(Object.assign(() => {}, { request: {}, response: {} }))).toEqual({});
});
