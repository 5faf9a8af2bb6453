/** Express as it comes, with the four calls of a lifecycle and nothing behind them. Prints its port. */
import type { AddressInfo } from "node:net";
import express from "express";

const app = express();
app.use(express.json());
const ids = { id: "01a209a4-fab4-70b3-99f9-470f2081b27e", lease: { id: "01a209a4-faf2-71d2-be7b-3e120354b4f9" } };
app.post("/api/runtime/llm-tasks", (request, response) => void response.status(201).json({ ...request.body, ...ids }));
for (const verb of ["lease", "heartbeat", "complete"])
  app.post(
    `/api/runtime/llm-tasks/:id/${verb}`,
    (request, response) => void response.json({ ...request.body, ...ids }),
  );
const server = app.listen(0, "127.0.0.1", () => {
  process.stdout.write(`"port":${(server.address() as AddressInfo).port}\n`);
});
