import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface RawServer {
  port: number;
  /** The connections that were made to it. */
  sockets: Socket[];
}

/**
 * A server that answers the first request of each connection with these bytes as they are, which no HTTP server would send. `onEach` sends more. It ends with the
 * running test.
 */
export async function startRawServer(bytes: string, onEach: (socket: Socket) => void = () => {}): Promise<RawServer> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket
      .on("error", () => {})
      .once("data", () => {
        socket.write(bytes);
        onEach(socket);
      });
  });
  server.listen(0, "127.0.0.1");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** Sends these bytes for as long as the other side takes them. */
export function sendForEver(bytes: string): (socket: Socket) => void {
  return (socket) => {
    const send = () => {
      if (socket.destroyed) return;
      // Others run in between.
      if (socket.write(bytes)) setImmediate(send);
      else socket.once("drain", send);
    };
    send();
  };
}
