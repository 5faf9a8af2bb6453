/** Begins and ends to take requests. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
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

/** Ends each connection after its next answer once `stopping` is aborted, so that whoever keeps it goes to another instance. */
export const leaveConnections =
  (stopping: AbortSignal): RequestHandler =>
  (_request, response, next) => {
    if (stopping.aborted) response.set("Connection", "close");
    next();
  };

/** Takes no new connections, gives the requests in flight up to 10 s to end, and then cuts them off. */
export async function drain(server: Server): Promise<void> {
  const ended = new AbortController();
  const closed = new Promise<void>((resolve) => server.close(() => resolve())).finally(() => ended.abort());
  const tooLate = delay(DRAIN_MS, undefined, { signal: ended.signal }).then(
    () => server.closeAllConnections(),
    () => {},
  );
  await closed;
  await tooLate;
}
