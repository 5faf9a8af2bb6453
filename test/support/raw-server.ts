import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** An informational answer, the head of an answer that comes in chunks, such chunks of a body, and its end. */
export const HINTS = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
export const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
export const chunks = (count: number, bytes: number) =>
  `${bytes.toString(16)}\r\n${"a".repeat(bytes)}\r\n`.repeat(count);
export const END = "0\r\n\r\n";
/** Why an answer in too many parts is broken off (src/answer-parts.ts). */
export const TOO_MANY_HINTS = "it sent more than 10 informational answers (1xx) before its answer";
export const TOO_MANY_CHUNKS = "its answer comes in too many small chunks";

export interface RawServer {
  port: number;
  /** The connections that were made to it. */
  sockets: Socket[];
}

/**
 * A server that answers the first request of each connection with these bytes as they are, which no HTTP server would send. `onEach` sends more. It
 * ends with the running test.
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
