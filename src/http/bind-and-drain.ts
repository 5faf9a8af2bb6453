/** Begins and ends to take requests. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { RequestHandler } from "express";
import { StartError } from "../errors.ts";

/** How long requests in flight at a stop have to end. */
const DRAIN_MS = 10_000;
/** How many connections may wait to be accepted. With Node's own 511, some of 800 workers that connected at once were cut off. */
const BACKLOG = 4_096;

/** Listens on the port, of `address` where it is given, and gives the port. StartError: that is not possible. */
export function bind(server: Server, port: number, address: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE")
        reject(
          new StartError(
            `Port ${port} is in use. Stop the program that uses it, or set BLOOM_RUNTIME_PORT to another.`,
          ),
        );
      else if (error.code === "EACCES")
        reject(new StartError(`Port ${port} is not allowed to this user. Set BLOOM_RUNTIME_PORT to one above 1023.`));
      else if (["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EINVAL"].includes(error.code ?? ""))
        reject(new StartError(`BIND_ADDRESS ${address} is no address of this machine (${error.code}).`));
      else reject(error);
    });
    server.listen({ port, backlog: BACKLOG, ...(address !== undefined && { host: address }) }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}

/** Ends each connection after its next answer once `stopping` is aborted, so that its client goes to another instance. */
export const leaveConnections =
  (stopping: AbortSignal): RequestHandler =>
  (_request, response, next) => {
    if (stopping.aborted) response.set("Connection", "close");
    next();
  };

/**
 * Takes no new connections, gives the requests in flight up to 10 s to end, and then cuts them off. Those who wait in `waits` are
 * answered only after the server takes no new connections: answered before, their clients would ask again at once.
 */
export async function drain(server: Server, waits: { close(): void }[] = []): Promise<void> {
  await nextIdleTurn(server);
  const ended = new AbortController();
  const closed = new Promise<void>((resolve) => server.close(() => resolve())).finally(() => ended.abort());
  for (const wait of waits) wait.close();
  const tooLate = delay(DRAIN_MS, undefined, { signal: ended.signal }).then(
    () => server.closeAllConnections(),
    () => {},
  );
  await closed;
  await tooLate;
}

const IDLE_TURN_MS = 1;
const IDLE_WITHIN_MS = 2_000;

/**
 * Waits, for 2 s at most, for a short turn of the event loop without a new connection: then nothing is left unread. What is left unread when the
 * server closes is reset, and a proxy that has sent a POST does not send it again. Where twenty programs wait for two cores, no turn is short.
 */
async function nextIdleTurn(server: Server): Promise<void> {
  let cameAt = 0;
  const note = () => {
    cameAt = performance.now();
  };
  server.on("connection", note);
  const giveUpAt = performance.now() + IDLE_WITHIN_MS;
  for (let now = performance.now(); now < giveUpAt; now = performance.now()) {
    await nextTurn();
    if (cameAt < now && performance.now() - now < IDLE_TURN_MS) break;
  }
  server.off("connection", note);
}
