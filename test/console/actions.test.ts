/**
 * What people do with the console, in a real browser: log in, create and mend tasks, see to workers and accounts, set the service up, all
 * by keyboard.
 */
import { execFileSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { ADMIN_KEY, startApp } from "../support/app.ts";
import { openBrowser, PATIENCE_MS, visit } from "../support/browser.ts";
import { fillExample } from "../support/console-example.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { aProject, startMembridge } from "../support/scripted-membridge.ts";

const KEY = "the key of the admin";

const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
membridge.projects = [aProject("garden-seedling", "aeeafec3a5b5710f")];
membridge.nodes = { aeeafec3a5b5710f: [{ node_id: "rpi-garden", role: "primary" }, { node_id: "workstation" }] };
const { url } = await startApp(db, { env: { RUNTIME_API_KEY: KEY, MEMBRIDGE_SERVER_URL: membridge.url } });
const { client, tasks } = await fillExample(url, KEY, query);
const browser = await openBrowser();

describe.skipIf(!browser)("the console", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;
  const { page, faults } = await visit(browser, url, { key: KEY });
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const main = page.locator("main");
  const why = page.locator(".why");
  const card = (name: string) => page.getByRole("region", { name, exact: true });
  const dialog = page.getByRole("dialog");
  const attention = page.locator(".attention");
  const heading = (name: string) => page.getByRole("heading", { level: 1, name, exact: true });
  /** Presses `g` and a page's letter. The letter counts within 1.2 s only, which a busy machine may miss: then both are pressed again. */
  const goByKeys = (letter: string, name: string) =>
    eventually(
      async () => {
        await page.keyboard.press("g");
        await page.keyboard.press(letter);
        // The heading gets the focus, which would take it from what is typed into.
        await page.locator("main h1:focus", { hasText: name }).waitFor({ timeout: 10_000 });
      },
      { timeout: PATIENCE_MS / 2 },
    );

  it("asks for a key, says when one is refused, and shows the start with the right one", async () => {
    const stranger = await visit(browser, url);
    await stranger.page.goto("/");
    await stranger.page.getByLabel("Key").fill("a wrong key");
    await stranger.page.getByRole("button", { name: "Log in" }).click();
    await stranger.page.getByText("This key is not valid, or has been revoked.", { exact: true }).waitFor();
    await stranger.page.getByLabel("Key").fill(KEY);
    await stranger.page.getByRole("button", { name: "Log in" }).click();
    await stranger.page.getByRole("heading", { name: "Needs attention" }).waitFor();
    expect(stranger.page.url()).not.toContain(encodeURIComponent(KEY));
    await stranger.context.close();
  });

  it("creates a task from the form, shows it, and cancels it", async () => {
    await page.goto("/console/tasks");
    await page.getByRole("link", { name: "New task" }).last().click();
    await page.getByLabel("Agent").fill("gardener");
    await page.getByLabel("Context").fill("greenhouse");
    await page.getByLabel("Prompt").fill("What's to do in May?");
    await main.filter({ hasText: `"prompt": "What'\\''s to do in May?"` }).waitFor();
    await button("Create the task").click();
    await heading("gardener").waitFor();
    await main.filter({ hasText: "What's to do in May?" }).waitFor();
    await button("Cancel").click();
    await dialog.getByRole("button", { name: "Go back" }).click();
    await button("Cancel").click();
    await dialog.getByRole("button", { name: "Cancel the task", exact: true }).click();
    await page.locator(".why [data-state=cancelled]").waitFor();
    const [task] = await client.listTasks({ agent_slug: "gardener" });
    expect(task).toMatchObject({ status: "cancelled", context_id: "greenhouse", prompt: "What's to do in May?" });
  });

  it("says what a failed task said, requeues it, and replays another with changes", async () => {
    await page.goto("/console");
    await page.getByRole("link", { name: /The output is not JSON/ }).click();
    await why.getByText("The output is not JSON").waitFor();
    await button("Requeue").click();
    await page.locator(".why [data-state=queued]").waitFor();
    await page.goto(`/console/tasks/${tasks.completed}`);
    await main.filter({ hasText: "The beds by the **south wall**" }).waitFor();
    await button("Formatted").click();
    await main.locator("strong", { hasText: "south wall" }).waitFor();
    await button("Replay…").click();
    await dialog.getByLabel("Prompt").fill("The same, in two sentences.");
    await dialog.getByLabel("Labels that the worker must have").fill("gpu, linux");
    await dialog.getByLabel("Model").fill("claude-haiku-4-5");
    await dialog.getByRole("button", { name: "Replay", exact: true }).click();
    await page.locator(".why [data-state=queued]").waitFor();
    await main.filter({ hasText: "The same, in two sentences." }).waitFor();
    expect(page.url()).not.toContain(tasks.completed);
    const replayed = await client.getTask({ id: page.url().split("/").at(-1) ?? "" });
    expect(replayed).toMatchObject({
      requires: ["gpu", "linux"],
      policy: { model: "claude-haiku-4-5", timeout_sec: 120 },
    });
    expect(replayed).toMatchObject({ agent_slug: "writer", desired_format: "markdown", max_attempts: 3, limits: null });
  });

  it("requeues all that match a filter, after it said how many", async () => {
    await page.goto("/console/tasks?status=dead");
    await page.getByRole("button", { name: "Requeue", exact: true }).click();
    await dialog.getByRole("heading", { name: "Requeue 1 task?" }).waitFor();
    await dialog.getByRole("button", { name: "Requeue" }).click();
    await page.getByText("Done: 1.").waitFor();
    expect((await client.getTask({ id: tasks.dead })).status).toBe("queued");
  });

  it("drains a worker with a reason and resumes it, and resumes an account", async () => {
    await page.goto("/console/workers");
    await card("rpi-garden").getByRole("link", { name: "researcher" }).waitFor();
    await card("rpi-garden").getByRole("button", { name: "Drain" }).click();
    await dialog.getByLabel("Why").fill("A new SD card");
    const minutes = dialog.getByLabel("For how many minutes");
    for (const wrong of ["-3", "0", "99999999"]) {
      await minutes.fill(wrong);
      await dialog.getByRole("button", { name: "Drain" }).click();
      expect(await minutes.evaluate((field: { matches(selector: string): boolean }) => field.matches(":invalid"))).toBe(
        true,
      );
    }
    expect((await client.getWorker({ id: "rpi-garden" })).drain).toBeNull();
    await minutes.fill("30");
    await dialog.getByRole("button", { name: "Drain" }).click();
    await card("rpi-garden").getByText("A new SD card").waitFor();
    await card("rpi-garden")
      .getByText(/\(in [23]\d min\)/)
      .waitFor();
    await card("rpi-garden").getByRole("button", { name: "Resume" }).click();
    await card("rpi-garden").getByText("Online", { exact: true }).waitFor();
    await page.goto("/console/accounts");
    await card("claude-team").getByText("At its limit", { exact: true }).waitFor();
    await card("claude-team").getByRole("button", { name: "Resume" }).click();
    await dialog.getByText("Its workers get tasks at once").waitFor();
    await dialog.getByRole("button", { name: "Resume" }).click();
    await card("claude-team").getByText("Free", { exact: true }).waitFor();
    expect((await client.listAccounts()).find(({ id }) => id === "claude-team")?.rest).toBeNull();
  });

  it("connects a worker: the line has a key of the worker's own, and the page says when it is there", async () => {
    await page.goto("/console/workers");
    await button("Connect a worker").click();
    await page.getByLabel("Name of the worker").fill("greenhouse-1");
    await page.getByRole("combobox", { name: "CLI" }).selectOption("codex");
    await page.getByLabel("Labels (optional)").fill("gpu, linux");
    await page.getByLabel("Account (optional)").fill("Olena's account");
    await button("Make the line").click();
    await card("Connect a worker").getByText("is shown only now. It calls 127.0.0.1").waitFor();
    const line = await page.locator("pre.code").innerText();
    const [, key = "", address = ""] =
      /RUNTIME_API_KEY=(\S+) CLI=codex .*'(http\S+)' \|\| echo exit 1; \} \| sh\)$/.exec(line) ?? [];
    // A shell takes what was filled in as it is.
    const [given = ""] = line.slice("(".length).split("; { curl");
    const told = execFileSync("sh", ["-c", `${given}; printf '%s|' "$LABELS" "$ACCOUNT"`], { encoding: "utf8" });
    expect(told).toBe("gpu,linux|Olena's account|");
    const worker = createClient({ url, key: () => key });
    expect(await worker.getIdentity()).toMatchObject({ key: "greenhouse-1", role: "work" });
    const script = await fetch(address, { headers: { "X-Runtime-API-Key": key } });
    expect([script.status, await script.text()]).toEqual([200, expect.stringMatching(/^#!.*sh/)]);
    await card("Connect a worker").getByText("Waiting for greenhouse-1…").waitFor();
    await worker.registerWorker({ name: "greenhouse-1" });
    await card("Connect a worker").getByText("Online", { exact: true }).waitFor();
  });

  it("calls no worker lost that said that it stops", async () => {
    await client.registerWorker({ name: "greenhouse-1", status: "offline" });
    await page.goto("/console");
    await attention.filter({ hasText: "Worker vps-old is offline" }).waitFor();
    expect(await attention.innerText()).not.toContain("greenhouse-1");
  });

  it("says of a worker that ended itself what has to be mended", async () => {
    await client.registerWorker({ name: "greenhouse-1" });
    await client.restWorker({ id: "greenhouse-1", reason: "its command is gone", seconds: 3_600 });
    await client.registerWorker({ name: "greenhouse-1", status: "offline" });
    await page.goto("/console");
    await attention.filter({ hasText: "Worker greenhouse-1 has stopped: its command is gone. Mend that" }).waitFor();
  });

  it("saves where Membridge is, tests the connection, and promotes a node", async () => {
    await page.goto("/console/settings");
    await card("Membridge").getByLabel("Address").fill(`${membridge.url}/`);
    await card("Membridge").getByLabel("Admin key").fill(ADMIN_KEY);
    await card("Membridge").getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.", { exact: true }).waitFor();
    await card("Membridge").getByRole("button", { name: "Test the connection" }).click();
    await card("Membridge").getByText("Membridge answers").waitFor();
    expect(await page.content()).not.toContain(ADMIN_KEY);
    await page.goto("/console/membridge");
    await card("garden-seedling").getByText("primary", { exact: true }).waitFor();
    await card("garden-seedling").getByRole("button", { name: "Make it the primary" }).click();
    await dialog.getByRole("button", { name: "Make it the primary" }).click();
    await page.getByText("workstation is the primary of garden-seedling now.").waitFor();
    expect(membridge.requests).toContainEqual(expect.objectContaining({ body: { primary_node_id: "workstation" } }));
  });

  it("makes a key and revokes it, and adds a webhook", async () => {
    await page.goto("/console/settings");
    await card("Keys").getByLabel("Name").fill("ci");
    await card("Keys").getByLabel("Role").selectOption("read");
    await card("Keys").getByRole("button", { name: "Make a key" }).click();
    await card("Keys").getByText("The key “ci”, shown only now:").waitFor();
    const key = await card("Keys").locator(".row code").innerText();
    expect(await createClient({ url, key: () => key }).getIdentity()).toMatchObject({ key: "ci", role: "read" });
    const newer = await client.createKey({ name: "ci", role: "read" });
    const rows = card("Keys").getByRole("row", { name: /^ci/ });
    await rows.filter({ hasText: "not used yet" }).waitFor();
    await rows.filter({ hasNotText: "not used yet" }).getByRole("button", { name: "Revoke" }).click();
    await dialog.getByText("Revoke the older of the two keys “ci”?").waitFor();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await rows.filter({ hasNotText: "not used yet" }).waitFor({ state: "detached" });
    expect(await createClient({ url, key: () => newer.key }).getIdentity()).toMatchObject({ key: "ci" });
    await rows.getByRole("button", { name: "Revoke" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await rows.waitFor({ state: "detached" });
    await card("Webhooks").getByLabel("Address").fill("https://hooks.example.org/bloom");
    await card("Webhooks").getByRole("button", { name: "Add a webhook" }).click();
    await card("Webhooks").getByText("Its secret, shown only now:").waitFor();
    await card("Webhooks").getByText("https://hooks.example.org/bloom").waitFor();
  });

  it("is used by keyboard alone", async () => {
    await page.goto("/console");
    await heading("Now").waitFor();
    await page.keyboard.press("?");
    await dialog.getByText("Next row").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    // The files of the pages come later than the next frame.
    await page.route("**/*.js", async (route) => {
      await page.evaluate("new Promise(requestAnimationFrame)");
      await route.continue();
    });
    await goByKeys("t", "Tasks");
    await page.keyboard.press("/");
    await page.keyboard.type("status:cancelled");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/console/tasks?status=cancelled");
    await page.locator(".task-row", { hasText: "gardener" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("x");
    await page.getByText("1 chosen:").waitFor();
    expect(await page.locator(".task-row.chosen").innerText()).toContain("gardener");
    await page.keyboard.press("Enter");
    await page.locator("main h1:focus", { hasText: "gardener" }).waitFor();
    await goByKeys("w", "Workers");
    await page.unroute("**/*.js");
  });

  it("shows a key that may only read nothing that changes something", async () => {
    const { key } = await client.createKey({ name: "reader", role: "read" });
    const reader = await visit(browser, url, { key });
    const addresses = ["", "/tasks?status=completed", `/tasks/${tasks.failed}`, `/tasks/${tasks.running}`, "/workers"];
    for (const address of [...addresses, "/accounts", "/membridge"]) {
      await reader.page.goto(`/console${address}`);
      await reader.page.locator("main :is(.card, .why)").first().waitFor();
      const names = await reader.page.locator("main button").allInnerTexts();
      const harmless = /^\s*(\d+ more|Copy|Save.*|Formatted|As Markdown|Nodes|)\s*$/;
      expect(names.filter((name) => !harmless.test(name))).toEqual([]);
      expect(await reader.page.locator("main input[type=checkbox]").count()).toBe(0);
    }
    const pages = await reader.page.getByRole("navigation", { name: "Pages" }).innerText();
    expect(pages).not.toMatch(/New task|Settings/);
    await reader.page.goto("/console/settings");
    await reader.page.getByText("Your key has the role “read”").waitFor();
    await reader.page.getByText("It may look at everything, and change nothing.").waitFor();
    await reader.page.goto("/console/new");
    await reader.page.getByText("This page needs a key with the role “submit” or “admin”.").waitFor();
    await reader.page.getByRole("button", { name: "Log in with another key", exact: true }).click();
    await reader.page.getByLabel("Key").fill(KEY);
    await reader.page.getByRole("button", { name: "Log in", exact: true }).click();
    await reader.page.getByRole("heading", { level: 1, name: "New task", exact: true }).waitFor();
    expect(reader.faults).toEqual([]);
    await reader.context.close();
  });

  it("had no error in the browser", () => expect(faults).toEqual([]));
});
