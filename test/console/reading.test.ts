/** What the pages of the console ask for while they are open, in a real browser. */
import { describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { startApp } from "../support/app.ts";
import { openBrowser, PATIENCE_MS, visit } from "../support/browser.ts";
import { createTestDatabase } from "../support/database.ts";

const KEY = "the key of the admin";

const { db, query } = await createTestDatabase();
const { url } = await startApp(db, { env: { RUNTIME_API_KEY: KEY } });
const client = createClient({ url, key: () => KEY });
const browser = await openBrowser();

const create = (agent_slug: string) =>
  client.createTask({ context_id: "garden", agent_slug, prompt: "Write a haiku." });

describe.skipIf(!browser)("what the console reads", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;

  it("reads anew the state alone of a task that waits, and nothing of one that has ended", async () => {
    const waiting = await create("waits");
    const ended = await create("ended");
    await client.cancelTask({ id: ended.id });
    const { page, context } = await visit(browser, url, { key: KEY });
    await page.clock.install();
    const calls = new Set<string>();
    const readFor30SecondsMore = async ({ id }: { id: string }) => {
      await page.goto(`/console/tasks/${id}`);
      await page.locator("main .history").waitFor();
      await page.locator(".freshness.open").waitFor();
      // Less than the silence after which the stream is opened anew.
      await page.clock.pauseAt((await page.evaluate<number>("Date.now()")) + 5_000);
      calls.clear();
      page.on("request", (request) => calls.add(new URL(request.url()).pathname.split("/").at(-1) ?? ""));
      await page.clock.runFor(30_000);
    };
    await readFor30SecondsMore(ended);
    expect([...calls]).toEqual([]);
    await page.clock.resume();
    await readFor30SecondsMore(waiting);
    await expect.poll(() => [...calls]).toEqual(["llm-tasks", "explain"]);
    await context.close();
  });

  it("shows what a filter has found, and not its suggestions over it", async () => {
    const { page, context } = await visit(browser, url, { key: KEY });
    await page.goto("/console/tasks");
    await page.locator("[data-filter]").fill("status:");
    await page.getByRole("listbox").waitFor();
    await page.locator("[data-filter]").fill("status:cancelled");
    await page.locator("[data-filter]").press("Enter");
    await page.getByRole("listbox").waitFor({ state: "hidden" });
    await page.locator("[data-row]").first().click();
    await page.locator("main .history").waitFor();
    await context.close();
  });

  it("splits what is typed into a filter's terms, and names the filters where one is not known", async () => {
    const { page, context } = await visit(browser, url, { key: KEY });
    await page.goto("/console/tasks");
    const box = page.locator("[data-filter]");
    const filter = () => Object.fromEntries(new URL(page.url()).searchParams);
    await box.fill('status:failed agent:"the writer" error: crash spring beds');
    await box.press("Enter");
    await expect
      .poll(filter)
      .toEqual({ status: "failed", agent_slug: "the writer", error_kind: "crash", q: "spring beds" });
    await page.locator(".chip", { hasText: "agent:the writer" }).waitFor();
    await page.goto("/console/tasks");
    await box.fill("status:cancelled agnet:ended");
    await box.press("Enter");
    await page
      .getByRole("alert")
      .filter({ hasText: "“agnet:” is not a filter. The filters are status, agent," })
      .waitFor();
    expect([filter(), await box.inputValue()]).toEqual([{}, "status:cancelled agnet:ended"]);
    await box.fill("status:cancelled agent:e");
    await page.getByRole("option", { name: "agent:ended" }).click();
    await expect.poll(filter).toEqual({ status: "cancelled", agent_slug: "ended" });
    expect(await page.getByRole("alert").count()).toBe(0);
    await page.goto("/console/tasks?status=failed%20agent");
    await page.getByRole("alert").waitFor();
    expect(await page.locator(".bulk").count()).toBe(0);
    await context.close();
  });

  it("shows the first 500 workers and accounts, and further ones when they are asked for", async () => {
    await query(
      `insert into workers (id, node_id, status, capabilities, registered_at, account)
       select 'worker-' || n, 'worker-' || n, 'offline', '{"claude_cli": true, "max_concurrency": 1, "labels": []}', 1, 'all'
       from generate_series(100, 650) n`,
    );
    await query(
      "insert into runtime_accounts (id, updated_at) select 'account-' || n, 1 from generate_series(100, 650) n",
    );
    const { page, context, faults } = await visit(browser, url, { key: KEY });
    for (const name of ["worker", "account"]) {
      await page.goto(`/console/${name}s`);
      await page.getByText(`${name}-100`, { exact: true }).first().waitFor();
      expect(await page.getByText(`${name}-650`, { exact: true }).count()).toBe(0);
      await page.getByRole("button", { name: "Show more" }).click();
      await page.getByText(`${name}-650`, { exact: true }).first().waitFor();
      expect(await page.getByRole("button", { name: "Show more" }).count()).toBe(0);
    }
    await page.goto("/console/workers/worker-650");
    await page.getByText("worker-650", { exact: true }).first().waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});
