/** Connections and the process's file descriptors. */
import type { Server } from "node:http";
import type { Logger } from "pino";
import { openFilesLimit } from "../metrics/process.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";

/** Descriptors that connections leave for the database, files and calls of our own: a fifth, and at least so many. */
const RESERVED = 64;
const LOGGED_EVERY_MS = 10_000;

/**
 * Bounds the server's connections by the process's limit of open files, and says in the log, at most every 10 s, that some were refused. Left
 * to itself, Node hears nothing when descriptors run out: libuv closes such connections silently, and files and the database fail too.
 */
export function leaveDescriptors(server: Server, connections: UnkeyedConnections, log: Logger): void {
  const openFiles = openFilesLimit();
  if (openFiles !== undefined)
    server.maxConnections = Math.max(1, Math.floor(openFiles - Math.max(RESERVED, openFiles / 5)));
  let refused = 0;
  let lastLogged = Number.NEGATIVE_INFINITY;
  const refuse = (reason: { err?: Error }) => {
    refused++;
    if (performance.now() < lastLogged + LOGGED_EVERY_MS) return;
    log.error(
      { ...reason, refused, connections: server.maxConnections },
      "connections were refused: there are as many as the limit of open files allows; raise it (ulimit -n)",
    );
    lastLogged = performance.now();
    refused = 0;
  };
  server.on("drop", () => {
    connections.makeRoom();
    refuse({});
  });
  server.on("error", (err) => {
    if (server.listening) refuse({ err });
  });
}
