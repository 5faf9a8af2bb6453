/** The headers that calls read and answers have, and what each means. */

/** The headers that calls read beside the key and `X-Request-Id`. */
export const REQUEST_HEADERS = {
  "Idempotency-Key":
    "The client's name for this creation (255 characters of printable ASCII): the same request again gives the same task.",
  "If-None-Match": "The `ETag` that the client has: 304 when it is still right.",
  "If-Range": "`Range` counts only while this `ETag` is still right.",
  "Last-Event-ID": "The id of the last event that the client has seen: the stream goes on behind it.",
  Prefer: "`wait=<seconds>`, 25 at most: the answer comes when the task has ended, or after that time (RFC 7240).",
  Range: "`bytes=<first>-<last>`: one part of the bytes.",
  "X-Lease-Id":
    "The lease under which the worker has the task. With it, the worker is told when it no longer holds the task.",
};
export type RequestHeader = keyof typeof REQUEST_HEADERS;

/** The headers that answers may have beside those of every answer. Pages in browsers may read them (app.ts). */
export const ANSWER_HEADERS = {
  "Accept-Ranges": "`bytes`: a part can be asked for.",
  "Content-Disposition": "A file name, so that browsers save it.",
  "Content-Range": "Which part it is.",
  ETag: "Names these bytes.",
  Link: '`<address>; rel="next"`: where the next page is. Without it this is the last one.',
  "Preference-Applied": "`wait=<seconds>`, as the call waited.",
  "Retry-After": "In how many seconds the same call may succeed.",
  "X-Ignored-Fields": "The names of the fields that were ignored, since creations do not have them.",
};
export type AnswerHeader = keyof typeof ANSWER_HEADERS;
