/** A TCP proxy in front of a server, for the faults that happen on the way: cut, refused, hanging and slow connections. */
import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";

export interface TcpProxy {
  port: number;
  /** Ends every connection that is open now. */
  cut(): void;
  /** Ends every connection and takes no new ones, until `accept()`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** Passes nothing on in either direction, until `thaw()`: the other end seems to have vanished. */
  freeze(): void;
  thaw(): void;
  /** Passes everything on this much later, in milliseconds. */
  delay(ms: number): void;
  /** Passes on so many bytes a second and direction of each connection; 0: as fast as it goes. */
  throttle(bytesPerSecond: number): void;
  /** How many bytes it has passed on, in both directions. */
  bytesPassed(): number;
  /** How many connections are open. */
  connections(): number;
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1 in front of `target`, an address such as `127.0.0.1:5432`. */
export async function startProxy(target: string): Promise<TcpProxy> {
  const { hostname: host, port: targetPort } = new URL(`tcp://${target}`);
  const pairs = new Set<Socket[]>();
  let frozen = false;
  let delayMs = 0;
  let bytesPerMs = 0;
  let bytesPassed = 0;

  /** Passes a part of the chunk on every 10 ms, and takes no more meanwhile. */
  function trickle(chunk: Buffer, from: Socket, to: Socket): void {
    const share = bytesPerMs > 0 ? Math.ceil(bytesPerMs * 10) : chunk.length;
    if (to.writable) to.write(chunk.subarray(0, share));
    bytesPassed += Math.min(share, chunk.length);
    if (chunk.length > share) setTimeout(trickle, 10, chunk.subarray(share), from, to);
    else if (!frozen) from.resume();
  }

  function forward(from: Socket, to: Socket): void {
    from.on("data", (chunk) => {
      if (bytesPerMs > 0) {
        from.pause();
        return trickle(chunk, from, to);
      }
      const pass = () => to.writable && to.write(chunk);
      bytesPassed += chunk.length;
      if (delayMs > 0) setTimeout(pass, delayMs);
      else pass();
    });
    // A fault of one side is the end of both, which is what a proxy is for.
    from.on("error", () => {});
    from.on("close", () => to.destroy());
  }

  const server = createServer((client) => {
    const upstream = createConnection({ host, port: Number(targetPort) });
    const pair = [client, upstream];
    for (const socket of pair) socket.setNoDelay(true);
    pairs.add(pair);
    client.on("close", () => pairs.delete(pair));
    forward(client, upstream);
    forward(upstream, client);
    if (frozen) for (const socket of pair) socket.pause();
  });
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);

  const proxy: TcpProxy = {
    port,
    cut: () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
    refuse: async () => {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      proxy.cut();
      await closed;
    },
    accept: async () => {
      if (!server.listening) await listen(port);
    },
    freeze: () => {
      frozen = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    thaw: () => {
      frozen = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    delay: (ms) => {
      delayMs = ms;
    },
    throttle: (bytesPerSecond) => {
      bytesPerMs = bytesPerSecond / 1_000;
    },
    bytesPassed: () => bytesPassed,
    connections: () => pairs.size,
    close: () => proxy.refuse(),
  };
  return proxy;
}
