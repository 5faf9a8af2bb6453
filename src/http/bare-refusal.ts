/** Refusals of requests that never reach the app, as JSON with the headers that every answer has. */
import { type ServerResponse, STATUS_CODES } from "node:http";
import { OWN_ANSWER_HEADER } from "./own-answer-header.ts";

/** Refuses the request with this sentence. `isLast`: the connection ends with the answer. `whenSent` is called when the answer is sent. */
export function refuseBare(
  response: ServerResponse,
  status: number,
  error: string,
  { isLast, whenSent }: { isLast: boolean; whenSent?: () => void },
): void {
  const { headers, body } = refusal(error, isLast);
  response.writeHead(status, headers).end(body, whenSent);
}

/** The text of a refusal for a connection that has no request, since what came on it could not be read. The connection ends with it. */
export function refusalAsText(status: number, error: string): string {
  const { headers, body } = refusal(error, true);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "",
    body,
  ].join("\r\n");
}

function refusal(error: string, isLast: boolean) {
  const body = JSON.stringify({ error });
  const headers = {
    ...OWN_ANSWER_HEADER,
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    ...(isLast && { Connection: "close" }),
  };
  return { headers, body };
}
