import { once } from "node:events";
import type { RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { onTestFinished } from "vitest";
import { createHttpServer } from "../../src/http/http-server.ts";
import { createUnkeyedConnections } from "../../src/http/unkeyed-connections.ts";
import { createLog } from "../../src/log.ts";

/**
 * A server of ours with this handler alone on a free port, without limits of connections unless `connections` has some, and what opens a connection to
 * it. It ends with the test.
 */
export async function startBareServer(handler: RequestListener, connections = createUnkeyedConnections(0)) {
  const server = createHttpServer(handler, { log: createLog("silent"), connections });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, open: () => connect(port, "127.0.0.1").on("error", () => {}) };
}
