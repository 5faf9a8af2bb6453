/**
 * Keys in the console, in a real browser: a secret that is shown once is never lost to a second click or to a refusal, and a worker whose key is
 * revoked says so, also among what needs attention.
 */
import { describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { markSilentOffline } from "../../src/fleet/signs-of-life.ts";
import { startApp } from "../support/app.ts";
import { openBrowser, PATIENCE_MS, PHONE, sidewaysScroll, visit } from "../support/browser.ts";
import { createTestDatabase } from "../support/database.ts";

const KEY = "the key of the admin";

const { db, query } = await createTestDatabase();
const { url } = await startApp(db, { env: { RUNTIME_API_KEY: KEY } });
const client = createClient({ url, key: () => KEY });
const browser = await openBrowser();

describe.skipIf(!browser)("the console", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;
  const { page } = await visit(browser, url, { key: KEY });
  page.setDefaultTimeout(20_000);
  const card = (name: string) => page.getByRole("region", { name, exact: true });

  it("makes one key of a double click, and shows it until somebody closes it, also beside a refusal", async () => {
    await page.goto("/console/settings");
    const keys = card("Keys");
    const make = keys.getByRole("button", { name: "Make a key" });
    const secret = keys.locator(".row code");
    await keys.getByLabel("Name").fill("kitchen");
    await keys.getByLabel("Role").selectOption("read");
    await make.dblclick();
    const key = await secret.innerText();
    expect(await createClient({ url, key: () => key }).getIdentity()).toMatchObject({ key: "kitchen" });
    await keys.getByRole("row", { name: /^kitchen/ }).waitFor();
    expect(await client.listKeys()).toHaveLength(1);

    const message = 'Another key "kitchen" was made at the same moment; look at the list, and try again.';
    let answer = () => {};
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route("**/api/runtime/keys", async (route) => {
      if (route.request().method() !== "POST") return await route.fallback();
      await asked;
      await route.fulfill({ status: 409, headers: { "X-Bloom-Runtime": "1" }, json: { error: message } });
    });
    await keys.getByLabel("Name").fill("kitchen");
    await keys.getByLabel("Role").selectOption("read");
    await make.click();
    await keys.locator("button:disabled", { hasText: "Make a key" }).waitFor();
    answer();
    await keys.getByRole("alert").filter({ hasText: message }).waitFor();
    expect(await secret.innerText()).toBe(key);
    // What was refused can be sent again as it is.
    await page.unroute("**/api/runtime/keys");
    await make.click();
    await secret.filter({ hasNotText: key }).waitFor();
    expect(await client.listKeys()).toHaveLength(2);
    await keys.getByRole("button", { name: "Close" }).click();
    await secret.waitFor({ state: "detached" });
  });

  it("has no role before one is chosen, says when each key was made, and leaves names whole on a phone", async () => {
    await page.setViewportSize(PHONE);
    const keys = card("Keys");
    await keys.getByLabel("Name").fill("kitchen-window-sensors");
    await keys.getByRole("button", { name: "Make a key" }).click();
    expect(await keys.locator("select:invalid").count()).toBe(1);
    expect(await client.listKeys()).toHaveLength(2);
    await keys.getByLabel("Role").selectOption("submit");
    await keys.getByRole("button", { name: "Make a key" }).click();
    const name = keys.locator("th", { hasText: "kitchen-window-sensors" });
    await name.waitFor();
    expect(await keys.getByText(/^made \d\d:\d\d$/).count()).toBe(3);
    const linesOfName = `(() => {
      const text = document.createRange();
      text.selectNodeContents([...document.querySelectorAll("th")].find((each) => each.innerText.startsWith("kitchen-w")));
      return text.getClientRects().length;
    })()`;
    expect([await page.evaluate(linesOfName), await sidewaysScroll(page)]).toEqual([1, 0]);
  });

  it("adds one webhook of a double click, whose secret stays", async () => {
    const webhooks = card("Webhooks");
    await webhooks.getByLabel("Address").fill("https://hooks.example.org/bloom");
    await webhooks.getByRole("button", { name: "Add a webhook" }).dblclick();
    await webhooks.locator("strong", { hasText: "hooks.example.org" }).waitFor();
    await webhooks.locator(".row code").waitFor();
    expect(await client.listWebhooks()).toHaveLength(1);
  });

  it("makes one line of a double click, which stays while somebody types, until another one is made", async () => {
    await page.goto("/console/workers");
    const make = page.getByRole("button", { name: "Make the line" });
    // The browser says at the field what a name may be: the service is not asked, whose sentence would name its own field.
    const called = page.getByLabel("Name of the worker");
    await called.fill("my box");
    await make.click();
    expect(await page.locator("input:invalid[title^=Letters]").count()).toBe(1);
    expect(await page.getByRole("alert").count()).toBe(0);
    await called.fill("box");
    await make.dblclick();
    const line = page.locator("pre.code");
    const first = await line.innerText();
    const ofBox = async () => (await client.listKeys()).filter(({ name }) => name === "box");
    expect(await ofBox()).toHaveLength(1);
    await page.getByLabel("Labels (optional)").fill("gpu");
    await page.getByLabel("Arguments (optional)").fill("--permission-mode acceptEdits");
    expect(await line.innerText()).toBe(first);
    await make.click();
    await line.filter({ hasText: "CLI_ARGS='--permission-mode acceptEdits' LABELS=gpu" }).waitFor();
    expect(await ofBox()).toHaveLength(2);
  });

  it("says of a worker that is away that its key is revoked, before the worker is read anew", async () => {
    await client.registerWorker({ name: "box", status: "offline" });
    await page.goto("/console/workers/box");
    await card("box").getByText("Offline", { exact: true }).waitFor();
    expect(await card("box").innerText()).not.toContain("key");
    await page.route("**/api/runtime/workers/box", () => {});
    await client.revokeKey({ name: "box" });
    await card("box").getByText("Its key is revoked").waitFor();
    await page.unroute("**/api/runtime/workers/box");
  });

  it("says it of a worker that fell silent, among what needs attention", async () => {
    await client.registerWorker({ name: "box", status: "online" });
    await query("update workers set last_heartbeat = last_heartbeat - 120000 where id = 'box'");
    await markSilentOffline(db);
    await page.goto("/console");
    await page.locator(".attention li", { hasText: "Worker box is offline" }).waitFor();
    await page.locator(".attention li", { hasText: "Its key is revoked: the service refuses it." }).waitFor();
  });

  it("shows the workers, and says what is wrong, when the keys cannot be read", async () => {
    const error = "The keys cannot be read now.";
    const headers = { "X-Bloom-Runtime": "1" };
    await page.route("**/api/runtime/keys", (route) => route.fulfill({ status: 500, headers, json: { error } }));
    await page.goto("/console/workers/box");
    await page.getByRole("alert").filter({ hasText: error }).waitFor();
    await card("box").getByText("Offline", { exact: true }).waitFor();
  });
});
