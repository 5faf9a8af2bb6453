import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "express";
import type { Db } from "../db/client.ts";
import { type Cursor, openPage, type Page, type Source } from "../db/pages.ts";

/** The page of a list that the query asks for, as a bare array; where there are more, `Link: <…>; rel="next"` is the address of the next. */
export async function sendList(
  request: Request,
  response: Response,
  db: Db,
  source: Source,
  asked: { limit: number; after?: Cursor | undefined },
): Promise<void> {
  const { next, batches } = await openPage(db, source, asked);
  if (next) setNext(request, response, `${next.time}.${next.id}`);
  await sendRecords(response, batches);
}

/** Says where the next page is: the same address with `after`. */
export function setNext(request: Request, response: Response, after: string): void {
  const query = new URLSearchParams(request.originalUrl.split("?")[1]);
  query.set("after", after);
  response.set("Link", `<${request.baseUrl}${request.path.replace(/\/$/, "")}?${query}>; rel="next"`);
}

/** The records as one array. */
export async function sendRecords(response: Response, batches: Page["batches"]): Promise<void> {
  response.type("application/json");
  if (Array.isArray(batches)) return void response.send(`[${batches.flat().join(",")}]`);
  // A failure in the middle cuts the connection: the client must not take what it has for the whole.
  await pipeline(Readable.from(arrayOf(batches)), response);
}

async function* arrayOf(batches: AsyncGenerator<string[]>): AsyncGenerator<string> {
  let separator = "[";
  for await (const records of batches)
    for (const record of records) {
      yield separator + record;
      separator = ",";
    }
  yield separator === "[" ? "[]" : "]";
}
