import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * An HTTP server in the place of a node agent, for answers that none of them gives on purpose. Unless `answersHealth`, it says that it is ok,
 * and not who it is, before it is asked anything else.
 */
export async function startScriptedAgent(
  answer: RequestListener,
  { answersHealth = false } = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url === "/health" && !answersHealth) response.end('{"status": "ok"}');
    else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
