/** A client of BLOOM Runtime for Node and browsers: a method for each call, lists page by page, and the streams. It needs fetch and nothing else. */

import { type Bytes, type ClientOptions, createSender, jsonOf, type Next, type Options, type Page } from "./call.ts";
import { type Args, fillIn, nextIn, queryOf } from "./call-address.ts";
import { ADDRESSES, type Methods } from "./calls.ts";
import { createStreams, type Streams } from "./streams.ts";

export type Client = Methods & Streams;

/**
 * Makes a client. Each method takes what its call's address, query and body take, side by side, and resolves to what the runtime answers: a record, a
 * page of a list, undefined where there is nothing to say, or a `Response` where the answer is not JSON. It rejects with `Refused` where the runtime
 * refuses, with `NoAnswer` where it does not answer, and with the reason of the call's signal where that is aborted. Nothing is tried again.
 */
export function createClient(options: ClientOptions): Client {
  const send = createSender(options);
  const methods = Object.entries(ADDRESSES).map(([name, [method, path, bytes]]) => [
    name,
    async (args: Args = {}, { headers, signal }: Options<string> = {}) => {
      const { address, others } = fillIn(path, args);
      const hasQuery = method === "GET" || method === "DELETE";
      const hasBody = !hasQuery && bytes !== "sent" && Object.keys(others).length > 0;
      const response = await send({
        method,
        path: hasQuery ? address + queryOf(others) : address,
        headers: {
          ...(bytes !== "answered" && { Accept: "application/json" }),
          ...(hasBody && { "Content-Type": "application/json" }),
          ...headers,
        },
        body: hasBody ? JSON.stringify(others) : (others.bytes as Bytes | undefined),
        signal,
      });
      if (bytes === "answered") return response;
      const answer = await jsonOf(response, signal);
      const next = nextIn(response.headers.get("link"));
      return next && Array.isArray(answer) ? Object.assign(answer, { next }) : answer;
    },
  ]);
  return { ...(Object.fromEntries(methods) as Methods), ...createStreams(send) };
}

/** All records of a list, page after page: `for await (const task of everyOf((next) => client.listTasks({ status: "dead", ...next })))`. */
export async function* everyOf<Item>(list: (next: Next) => Promise<Page<Item>>): AsyncGenerator<Item, void> {
  for (let next: Next | undefined = {}; next; ) {
    const page: Page<Item> = await list(next);
    yield* page;
    next = page.next;
  }
}
