import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

/** A message as it arrived. */
export interface Received {
  headers: IncomingHttpHeaders;
  body: string;
  path: string;
}

/** What the receiver answers: a status, with headers, or never. */
export type Answer = number | { status: number; headers: Record<string, string> } | "never";

export interface WebhookReceiver {
  url: string;
  received: Received[];
  /** What it answers from now on. */
  answer: Answer;
  /** The ids of the messages that arrived, in their order. */
  ids(): string[];
  /** Breaks off the calls that it has not answered. */
  hangUp(): void;
}

/** A receiver of webhooks on a free port, closed when the test file is done. */
export async function startReceiver(): Promise<WebhookReceiver> {
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (piece) => {
      body += piece;
    });
    request.on("end", () => {
      receiver.received.push({ headers: request.headers, body, path: request.url ?? "" });
      const { answer } = receiver;
      if (answer === "never") return;
      const { status, headers } = typeof answer === "number" ? { status: answer, headers: {} } : answer;
      response.writeHead(status, headers).end("taken");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterAll(() => {
    receiver.hangUp();
    server.close();
  });
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received: [],
    answer: 204,
    ids: () => receiver.received.map(({ headers }) => String(headers["webhook-id"])),
    hangUp: () => server.closeAllConnections(),
  };
  return receiver;
}
