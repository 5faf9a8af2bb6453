/** Answers for shells, to a call that says `Accept: text/plain`: each field is a header, and a body of text stands for itself. */
import type { Request, Response } from "express";

/** True when the client prefers text to JSON. A client that takes anything, such as curl without options, gets JSON. */
export function wantsText(request: Request): boolean {
  return request.headers.accept !== undefined && request.accepts("application/json", "text/plain") === "text/plain";
}

/**
 * Answers with `fields` as headers `X-Bloom-<Name>` and `text` as the body. A value is percent-encoded, and an object JSON before that, so
 * that nothing in it can end its header; null and undefined send none.
 */
export function sendAsText(response: Response, fields: Record<string, unknown>, text: string): void {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const fieldText = typeof value === "object" ? JSON.stringify(value) : String(value);
    response.setHeader(`X-Bloom-${name}`, encodeURIComponent(fieldText));
  }
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(text));
  response.end(text);
}
