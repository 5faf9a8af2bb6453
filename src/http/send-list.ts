import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "express";
import type { Db } from "../db/client.ts";
import type { Cursor, Source, Wanted } from "../db/list-source.ts";
import { openPage, type Page } from "../db/pages.ts";
import { sendText } from "./send-json.ts";

/** The page of a list that the query asks for, as a bare array; where there are more, `Link: <…>; rel="next"` is the address of the next. */
export async function sendList(
  request: Request,
  response: Response,
  db: Db,
  source: Source,
  wanted: Wanted,
): Promise<void> {
  const page = await openPage(db, source, wanted);
  if (page.next) setNext(request, response, cursorText(page.next));
  await sendPage(response, page);
}

/** A cursor as it stands in an address. */
export const cursorText = ({ time, id }: Cursor) => `${time}.${id}`;

/** Says where the next page is: the same address with `after`, and a new limit where that is given. */
export function setNext(request: Request, response: Response, after: string, { limit }: { limit?: number } = {}): void {
  const query = new URLSearchParams(request.originalUrl.split("?")[1]);
  query.set("after", after);
  if (limit !== undefined) query.set("limit", String(limit));
  response.set("Link", `<${request.baseUrl}${request.path.replace(/\/$/, "")}?${query}>; rel="next"`);
}

/** The page's records as one array. */
export async function sendPage(response: Response, { first, following }: Page): Promise<void> {
  if (!following) return sendText(response, `[${first}]`);
  response.type("application/json");
  // A failure in the middle cuts the connection: the client must not take what it has for the whole.
  await pipeline(Readable.from(arrayOf(first, following)), response);
}

async function* arrayOf(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield `[${first}`;
  let separator = first && ",";
  for await (const records of rest) {
    yield separator + records;
    separator = ",";
  }
  yield "]";
}
