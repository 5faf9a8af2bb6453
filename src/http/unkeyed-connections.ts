import type { Socket } from "node:net";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";

/** How long a connection's first request may take to show a key. Without this time, 700 of 1,500 workers that connected at once were cut off. */
const GRACE_MS = 2_000;

/** Connections on which no valid key was shown, by the address at their other end. */
export interface UnkeyedConnections {
  /** Counts a new connection. Where its address has too many, their oldest are closed. */
  admit(socket: Socket): void;
  /** A valid key came over this connection, which counts no more. */
  prove(socket: Socket): void;
  /** True once a valid key has come over the connection. */
  isProven(socket: Socket): boolean;
  /** The process can hold no more connections: closes a tenth of the connections of the address that has most of them, the oldest first. */
  makeRoom(): void;
}

/**
 * Allows an address (IPv6: a /64) `perAddress` connections without a valid key, and beside these the connections of the last `graceMs`; 0 sets no
 * limit. Where there are more, the oldest are closed and not the newest, so that somebody with a key always gets in, whatever a stranger at the same
 * address holds.
 */
export function createUnkeyedConnections(perAddress: number, graceMs = GRACE_MS): UnkeyedConnections {
  /** The open connections of each address, the oldest first, each with the process's time from which it may be closed. */
  const byAddress = new Map<string, Map<Socket, number>>();
  const addressOf = new WeakMap<Socket, string>();
  const proven = new WeakSet<Socket>();
  const forget = (socket: Socket) => {
    const address = addressOf.get(socket);
    const held = address === undefined ? undefined : byAddress.get(address);
    if (address === undefined || !held) return;
    addressOf.delete(socket);
    held.delete(socket);
    if (held.size === 0) byAddress.delete(address);
  };
  const close = (socket: Socket) => {
    forget(socket);
    socket.destroy();
  };
  const closeOldest = (held: Map<Socket, number>) => {
    const now = performance.now();
    for (const [socket, closableFrom] of held) {
      if (held.size <= perAddress || closableFrom > now) return;
      close(socket);
    }
  };
  return {
    admit(socket) {
      // A connection that has ended already has no address.
      if (perAddress === 0 || socket.remoteAddress === undefined) return;
      const address = clientNetworkOf(clientAddressOf({ ip: undefined, socket }));
      const held = byAddress.get(address) ?? new Map<Socket, number>();
      byAddress.set(address, held.set(socket, performance.now() + graceMs));
      addressOf.set(socket, address);
      socket.once("close", () => forget(socket));
      // Rounded up, so that the connection may be closed when the timer fires.
      if (held.size > perAddress) setTimeout(closeOldest, Math.ceil(graceMs) + 1, held).unref();
    },
    prove(socket) {
      proven.add(socket);
      forget(socket);
    },
    isProven: (socket) => proven.has(socket),
    makeRoom() {
      const [most] = [...byAddress.values()].toSorted((a, b) => b.size - a.size);
      for (const socket of [...(most?.keys() ?? [])].slice(0, Math.ceil((most?.size ?? 0) / 10))) close(socket);
    },
  };
}
