/** Bounds the connections by the limit of open files. */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { openFilesLimit } from "../metrics/process.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";

/** Descriptors that connections leave for the database, files and calls of our own: a fifth of all, and at least this number. */
const RESERVED = 64;
const LOGGED_EVERY_MS = 10_000;

export interface Bound {
  /** Connections come from another process, which takes them from the port. */
  areHandedOver?: boolean;
  /** The most connections; without it, as many as the limit of open files leaves. */
  most?: number | undefined;
}

/**
 * Bounds the server's connections by the process's limit of open files, and says in the log, at most every 10 s, that some were refused. Left
 * to itself, Node hears nothing when descriptors run out: libuv closes such connections silently, and files and the database fail too.
 */
export function boundConnections(
  server: Server,
  connections: UnkeyedConnections,
  log: Logger,
  { areHandedOver = false, most = mostConnections() }: Bound = {},
): void {
  let refused = 0;
  let lastLogged = Number.NEGATIVE_INFINITY;
  const refuse = (reason: { err?: Error }) => {
    refused++;
    if (performance.now() < lastLogged + LOGGED_EVERY_MS) return;
    log.error(
      { ...reason, refused, connections: most },
      "connections were refused: there are as many as the limit of open files allows; raise it (ulimit -n)",
    );
    lastLogged = performance.now();
    refused = 0;
  };
  const drop = () => {
    connections.makeRoom();
    refuse({});
  };
  if (most !== undefined && areHandedOver) dropBeyond(server, most, drop);
  else if (most !== undefined) server.maxConnections = most;
  server.on("drop", drop);
  server.on("error", (err) => {
    if (server.listening) refuse({ err });
  });
}

/**
 * Does for a server that is handed its connections what `maxConnections` does for others. Node would hand a connection beyond that back to the
 * process that took it, and so on from process to process, without end where all of them are full (round_robin_handle.js).
 */
function dropBeyond(server: Server, most: number, drop: () => void): void {
  let open = 0;
  server.on("connection", (socket: Socket) => {
    open++;
    socket.once("close", () => open--);
    if (open <= most) return;
    socket.destroy();
    drop();
  });
}

function mostConnections(): number | undefined {
  const openFiles = openFilesLimit();
  if (openFiles === undefined) return undefined;
  return Math.max(1, Math.floor(openFiles - Math.max(RESERVED, openFiles / 5)));
}
