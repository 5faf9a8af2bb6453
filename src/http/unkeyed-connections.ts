import type { Socket } from "node:net";
import { clientAddressOf, clientNetworkOf } from "./client-address.ts";

/** Connections on which no valid key was shown, by the address at their other end. */
export interface UnkeyedConnections {
  /** Counts a new connection; where its address has too many, the oldest of them is closed for it. */
  admit(socket: Socket): void;
  /** A valid key came over this connection: it counts no more. */
  prove(socket: Socket): void;
}

/**
 * At most `perAddress` connections without a valid key for an address (IPv6: a /64); 0 sets no limit. The oldest gives way and not the newest,
 * so that somebody with a key always gets in, whatever a stranger at the same address holds.
 */
export function createUnkeyedConnections(perAddress: number): UnkeyedConnections {
  const byAddress = new Map<string, Set<Socket>>();
  const addressOf = new WeakMap<Socket, string>();
  const forget = (socket: Socket) => {
    const address = addressOf.get(socket);
    const held = address === undefined ? undefined : byAddress.get(address);
    if (address === undefined || !held) return;
    addressOf.delete(socket);
    held.delete(socket);
    if (held.size === 0) byAddress.delete(address);
  };
  return {
    admit(socket) {
      // A connection that has ended already has no address.
      if (perAddress === 0 || socket.remoteAddress === undefined) return;
      const address = clientNetworkOf(clientAddressOf({ ip: undefined, socket }));
      const held = byAddress.get(address) ?? new Set();
      byAddress.set(address, held.add(socket));
      addressOf.set(socket, address);
      socket.once("close", () => forget(socket));
      const [oldest] = held;
      if (held.size <= perAddress || !oldest) return;
      forget(oldest);
      oldest.destroy();
    },
    prove: forget,
  };
}
