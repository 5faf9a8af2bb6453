/** The page of a task that waits or runs, in a real browser. */
import { describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { startApp } from "../support/app.ts";
import { openBrowser, PATIENCE_MS, visit } from "../support/browser.ts";
import { createTestDatabase } from "../support/database.ts";

const { db } = await createTestDatabase();
const { url } = await startApp(db);
const client = createClient({ url });
const browser = await openBrowser();
const create = () => client.createTask({ context_id: "garden", agent_slug: "gardener", prompt: "Water the beds." });

describe.skipIf(!browser)("the page of a task", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;
  const { page, faults } = await visit(browser, url);
  page.setDefaultTimeout(30_000);
  const live = page.locator("section", { has: page.getByRole("heading", { name: "Live output" }) });

  it("has the live output of a task that runs, also before it prints something", async () => {
    const { id } = await create();
    await client.registerWorker({ name: "box" });
    await client.leaseTask({ id, worker_id: "box" });
    await page.goto(`/console/tasks/${id}`);
    await live.getByText("Nothing printed yet.").waitFor();
    await client.addLiveOutput({ id, seq: 1, text: "The first bed is done." });
    await live.getByRole("textbox").waitFor();
    expect(await live.getByRole("textbox").inputValue()).toBe("The first bed is done.");
    expect(await live.innerText()).not.toContain("Nothing printed yet.");
  });

  it("says of one that waits which worker takes it, with the way to resume a drained one", async () => {
    const { id } = await create();
    await page.goto(`/console/tasks/${id}`);
    const why = page.locator(".why p");
    await why.filter({ hasText: /^\s*box is busy \(1 of 1\) and takes it when it is free\./ }).waitFor();
    await client.drainWorker({ id: "box", reason: "A new SD card." });
    await page.reload();
    await why.filter({ hasText: /^\s*box is drained until somebody resumes it: A new SD card\. / }).waitFor();
    await why.getByRole("link", { name: "box" }).click();
    await page.getByRole("region", { name: "box" }).getByRole("button", { name: "Resume" }).waitFor();
    await page.goto("/console");
    await page.getByText("Only drained workers (box) could take it: 1 task waiting").waitFor();
    expect(faults).toEqual([]);
  });

  it("names the tools that the CLI was not allowed to use, where the task is done all the same", async () => {
    const { id } = await create();
    await client.registerWorker({ name: "without-tools" });
    await client.leaseTask({ id, worker_id: "without-tools" });
    await client.completeTask({
      id,
      status: "success",
      metrics: { duration_ms: 5, denied_tools: ["Bash", "WebFetch"] },
    });
    await page.goto(`/console/tasks/${id}`);
    await page.getByText("Was not allowed to use: Bash, WebFetch", { exact: true }).waitFor();
    const why = page.locator(".why.wait").filter({ hasText: "But its CLI was not allowed to use: Bash, WebFetch." });
    await why.waitFor();
  });

  it("has no live output where the service keeps none", async () => {
    const { url: without } = await startApp(db, { env: { LIVE_OUTPUT: "false" } });
    const [{ id } = { id: "" }] = await client.listTasks({ status: "leased" });
    const refused = page.waitForResponse((response) => response.url().endsWith(`/${id}/stream`));
    await page.goto(`${without}/console/tasks/${id}`);
    expect((await refused).status()).toBe(404);
    await page.locator(".why").waitFor();
    expect(await live.count()).toBe(0);
  });
});
