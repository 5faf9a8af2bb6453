import type { Socket } from "node:net";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";

/** How long an address that sent many requests at once is read in turns. */
const IN_TURNS_MS = 10_000;
/** The connections of such an address are put in line at most once in this time. */
const LINED_UP_EVERY_MS = 100;

/** Says when each connection is read. */
export interface SocketTurns {
  /** A new connection. */
  admit(socket: Socket): void;
  /** Reads nothing more of the connection until `letRead`. */
  hold(socket: Socket): void;
  /** Reads the held connection on, now or when it is the connection's turn. */
  letRead(socket: Socket): void;
  /** The connection has sent very many requests at once: those of its address (IPv6: its /64) are read in turns from now on. */
  reportCrowd(socket: Socket): void;
  /**
   * The connection has sent much that takes long to read: others are served before it is read on. Without a valid key, those of its address are
   * read in turns from now on.
   */
  endTurn(socket: Socket): void;
}

/**
 * Lets the connections of an address that sent many requests at once be read one after the other. Between two of them, others are served for as
 * long as the first one took. Node makes all requests of the 64 KB that it has read before it does anything else, 25 ms for 2,000 short ones,
 * and does so for all connections that have something to read: twelve of them held all others up for 1.3 s, again and again. A connection with a
 * valid key does not wait for those of its address.
 */
export function createSocketTurns(
  open: ReadonlyMap<Socket, unknown>,
  { isProven }: Pick<UnkeyedConnections, "isProven">,
): SocketTurns {
  /** The addresses that are read in turns, each with the process's time at which that ends. The address that sent most lately comes last. */
  const crowds = new Map<string, number>();
  const networks = new WeakMap<Socket, string>();
  const held = new WeakSet<Socket>();
  const line = new Set<Socket>();
  /** Connections with a valid key that are read on in the next turn of the event loop. */
  const untilNextTurn = new WeakSet<Socket>();
  let isMoving = false;

  const networkOf = (socket: Socket) => {
    const network = networks.get(socket) ?? clientNetworkOf(clientAddressOf({ ip: undefined, socket }));
    networks.set(socket, network);
    return network;
  };
  const isInTurns = (socket: Socket) => crowds.size > 0 && (crowds.get(networkOf(socket)) ?? 0) > performance.now();
  const rememberCrowd = (network: string) => {
    crowds.delete(network);
    crowds.set(network, performance.now() + IN_TURNS_MS);
    for (const [earlier, until] of crowds) {
      if (until > performance.now()) break;
      crowds.delete(earlier);
    }
  };
  const standInLine = (socket: Socket) => {
    socket.pause();
    line.add(socket);
    if (!isMoving) setImmediate(readNext);
    isMoving = true;
  };
  const readNextTurn = (socket: Socket) => {
    socket.pause();
    untilNextTurn.add(socket);
    setImmediate(() => {
      untilNextTurn.delete(socket);
      if (!socket.destroyed && !held.has(socket)) socket.resume();
    });
  };
  const reportCrowd = (socket: Socket) => {
    const network = networkOf(socket);
    const isLinedUp = (crowds.get(network) ?? 0) > performance.now() + IN_TURNS_MS - LINED_UP_EVERY_MS;
    if (isLinedUp) return;
    rememberCrowd(network);
    // What is paused is held, is in line, or has sent more of a body than is read.
    for (const other of open.keys())
      if (!other.isPaused() && !isProven(other) && networkOf(other) === network) standInLine(other);
  };
  const readNext = () => {
    for (const socket of line) {
      line.delete(socket);
      if (socket.destroyed || held.has(socket)) continue;
      socket.resume();
      break;
    }
    const since = performance.now();
    setImmediate(() => {
      isMoving = line.size > 0;
      if (isMoving) setTimeout(readNext, performance.now() - since);
    });
  };

  return {
    admit(socket) {
      // Node reads on at the end of each request, whether the connection is paused or not.
      socket.on("resume", () => {
        if (held.has(socket) || line.has(socket) || untilNextTurn.has(socket)) socket.pause();
      });
      // Node begins to read a new connection in the next tick, and the connection can be paused only then.
      if (isInTurns(socket)) process.nextTick(standInLine, socket);
    },
    hold(socket) {
      held.add(socket);
      socket.pause();
    },
    letRead(socket) {
      if (!held.delete(socket)) return;
      if (isInTurns(socket)) standInLine(socket);
      else socket.resume();
    },
    reportCrowd,
    endTurn(socket) {
      if (isProven(socket)) return readNextTurn(socket);
      reportCrowd(socket);
      standInLine(socket);
    },
  };
}
