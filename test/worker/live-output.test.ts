import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { sendLiveOutput } from "../../src/worker/live-output.ts";
import { createRuntimeClient } from "../../src/worker/runtime-client.ts";
import { startApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aLeasedTask } from "../support/factories.ts";
import { folderForTest } from "../support/temporary-folder.ts";

const { db } = await createTestDatabase();
const { api, url } = await startApp(db);

it.each([
  ["control characters", Buffer.alloc(65_536, 1), "\u0001".repeat(65_536)],
  ["bytes that are no text", Buffer.alloc(65_536, 0xff), "\ufffd".repeat(65_536)],
])("64 KB of %s, which take more in JSON than a body may have, are shown whole", async (_what, printed, shown) => {
  const { task, lease } = await aLeasedTask(db);
  const file = join(await folderForTest(), "out");
  await writeFile(file, Buffer.concat([printed, Buffer.from("the end")]));
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const client = createRuntimeClient(url, { current: () => "", renew: async () => false });
  const sending = sendLiveOutput(client, { task, lease }, file, over.signal);
  const textSoFar = async () => {
    const { body } = await api.get(`/api/runtime/llm-tasks/${task.id}/stream`).expect(200);
    return body.pieces.map(({ text }: { text: string }) => text).join("");
  };
  await eventually(async () => expect(await textSoFar()).toMatch(/the end$/), { interval: 200 });
  // Compared so, since a difference of 64 KB is shown for minutes.
  expect((await textSoFar()) === `${shown}the end`).toBe(true);
  over.abort();
  await sending;
});
