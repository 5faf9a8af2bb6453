/**
 * Each answer of the service is held against the document of its calls, and a test in which one does not fit fails. The servers of `startApp` are
 * watched from within, and services that are processes of their own through `fetch`. Not looked at are the answers of such a process to workers,
 * node agents and raw sockets, and the bodies of its answers that are streams or text.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "vitest";
import type { Answered } from "./against-document.ts";

/** Longer bodies are lists, whose records are looked at in shorter ones. */
const LONGEST_BYTES = 500_000;
/** How long the last answers of a file may take to arrive. */
const LAST_WITHIN_MS = 2_000;

const watchedPorts = new Set<string>();
let answered: Answered[] = [];
const arriving = new Set<Promise<void>>();

/** Notes every answer that the server gives. */
export function watchAnswers(server: Server): void {
  server.prependListener("request", watchAnswer);
  server.once("listening", () => watchedPorts.add(String((server.address() as AddressInfo).port)));
}

function watchAnswer({ method = "", url: path = "" }: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const watched = (send: (...sent: unknown[]) => unknown) =>
    function (this: unknown, ...sent: unknown[]) {
      const [piece] = sent;
      if (typeof piece === "string" || piece instanceof Uint8Array) {
        bytes += piece.length;
        if (bytes <= LONGEST_BYTES) pieces.push(Buffer.from(piece as string));
      }
      return send.apply(this, sent);
    };
  Object.assign(response, {
    write: watched(response.write as (...sent: unknown[]) => unknown),
    end: watched(response.end as (...sent: unknown[]) => unknown),
  });
  response.once("finish", () => {
    const header = (name: string) => response.getHeader(name)?.toString();
    // Another server may have been put before the app.
    if (header("x-bloom-runtime") === undefined) return;
    const body = bytes > LONGEST_BYTES ? undefined : Buffer.concat(pieces).toString();
    answered.push({ method, path, status: response.statusCode, header, body });
  });
}

const { fetch } = globalThis;
globalThis.fetch = async (input, init) => {
  const response = await fetch(input, init);
  const { status, headers } = response;
  const { pathname: path, port } = new URL(input instanceof Request ? input.url : input);
  if (headers.get("x-bloom-runtime") !== "1" || watchedPorts.has(port)) return response;
  const method = (init?.method ?? "GET").toUpperCase();
  const header = (name: string) => headers.get(name) ?? undefined;
  const isRead =
    header("content-type")?.startsWith("application/json") && Number(header("content-length")) <= LONGEST_BYTES;
  // What breaks off is no answer.
  const whole = isRead
    ? response
        .clone()
        .text()
        .catch(() => undefined)
    : Promise.resolve(response.body === null ? "" : undefined);
  const noted = whole.then((body) => void answered.push({ method, path, status, header, body }));
  arriving.add(noted);
  noted.finally(() => arriving.delete(noted));
  return response;
};

/** Fails when an answer that was noted since the last call does not fit. */
export async function requireDocumented(): Promise<void> {
  const seen = answered;
  answered = [];
  if (seen.length === 0) return;
  const { faultOf } = await import("./against-document.ts");
  expect([...new Set(seen.map(faultOf))].filter((fault) => fault !== undefined)).toEqual([]);
}

/** Resolves when the answers that are still arriving have been noted, or after 2 s. */
export async function lastAnswers(): Promise<void> {
  await Promise.race([Promise.all(arriving), new Promise((resolve) => setTimeout(resolve, LAST_WITHIN_MS).unref())]);
}
