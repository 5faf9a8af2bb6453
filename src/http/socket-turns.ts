import type { Socket } from "node:net";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";
import type { UnkeyedConnections } from "./unkeyed-connections.ts";

/** An address that sent many requests at once is read in turns for so long. */
const IN_TURNS_MS = 10_000;

/** Says when each connection is read. */
export interface ReadingTurns {
  /** A new connection. */
  admit(socket: Socket): void;
  /** Reads nothing more of the connection until `letRead`. */
  hold(socket: Socket): void;
  /** Reads on, now or when it is the connection's turn. */
  letRead(socket: Socket): void;
  /** The connection has sent very many requests at once: those of its address (IPv6: its /64) are read in turns from now on. */
  reportCrowd(socket: Socket): void;
}

/**
 * Lets the connections of an address that sent many requests at once be read one after the other, one in each turn of the event loop, so that others are
 * served in between. Node makes all requests of the 64 KB that it has read before it does anything else, 25 ms for 2,000 short ones, and does so for
 * all connections that have something to read: twelve of them held all others up for 1.3 s, again and again. A connection with a valid key does not wait
 * for those of its address.
 */
export function createReadingTurns(
  open: ReadonlyMap<Socket, unknown>,
  { isProven }: Pick<UnkeyedConnections, "isProven">,
): ReadingTurns {
  /** The addresses that are read in turns, each with the process's time until which it is; the one that sent most lately comes last. */
  const crowds = new Map<string, number>();
  const held = new WeakSet<Socket>();
  const line = new Set<Socket>();
  let isMoving = false;

  const networkOf = (socket: Socket) => clientNetworkOf(clientAddressOf({ ip: undefined, socket }));
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
  const readNext = () => {
    for (const socket of line) {
      line.delete(socket);
      if (socket.destroyed || held.has(socket)) continue;
      socket.resume();
      break;
    }
    isMoving = line.size > 0;
    if (isMoving) setImmediate(readNext);
  };

  return {
    admit(socket) {
      // After Node has begun to read it, which it does in the next tick.
      if (isInTurns(socket)) process.nextTick(standInLine, socket);
    },
    hold(socket) {
      held.add(socket);
      socket.pause();
    },
    letRead(socket) {
      held.delete(socket);
      if (isInTurns(socket)) standInLine(socket);
      else socket.resume();
    },
    reportCrowd(socket) {
      const network = networkOf(socket);
      rememberCrowd(network);
      for (const other of open.keys())
        if (!held.has(other) && !isProven(other) && networkOf(other) === network) standInLine(other);
    },
  };
}
