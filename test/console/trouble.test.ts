/** The console in trouble, in a real browser: hostile outputs, a lost connection, several tabs, very many tasks, no task at all. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { startApp } from "../support/app.ts";
import { openBrowser, PATIENCE_MS, visit } from "../support/browser.ts";
import { createTestDatabase } from "../support/database.ts";
import { startProxy } from "../support/tcp-proxy.ts";

const KEY = "the key of the admin";

const { db, query } = await createTestDatabase();
const { url } = await startApp(db, { env: { MEMBRIDGE_ADMIN_KEY: "", RUNTIME_API_KEY: KEY } });
const client = createClient({ url, key: () => KEY });
const browser = await openBrowser();

/** A server of somebody else, which the console must never call. */
const asked: string[] = [];
const elsewhere = createServer((request, response) => {
  asked.push(request.url ?? "");
  response.end();
});
await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
afterAll(() => void elsewhere.close());
const evil = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;

const HOSTILE = `<img src="${evil}/img" onerror="document.title = 'taken'"><script src="${evil}/script"></script>
<script>document.title = "taken"</script><style>@import url("${evil}/style")</style><iframe src="${evil}/frame"></iframe>
<svg onload="document.title = 'taken'"></svg><base href="${evil}/"><meta http-equiv="refresh" content="0;url=${evil}/meta">

![a picture](${evil}/picture) [a link](${evil}/link) [run me](javascript:document.title='taken')
[data](data:text/html,<script>document.title='taken'</script>) <javascript:document.title='taken'>
[tab](java\tscript:document.title='taken') **bold** \`<b>code</b>\`
`;

const create = (agent_slug: string, fields: object = {}) =>
  client.createTask({ context_id: "garden", agent_slug, prompt: "Write a haiku.", ...fields });

describe.skipIf(!browser)("the console", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;

  it("teaches where there is nothing yet", async () => {
    const { page, context, faults } = await visit(browser, url, { key: KEY });
    await page.goto("/console");
    await page.getByRole("link", { name: "Connect a worker" }).click();
    await page.getByLabel("Name of the worker").waitFor();
    await page.goto("/console/tasks");
    await page.locator("pre", { hasText: `curl ${url}/api/runtime/llm-tasks` }).waitFor();
    await page.getByRole("link", { name: "Fill in the form" }).click();
    await page.getByLabel("Prompt").waitFor();
    await page.goto("/console/settings");
    const membridge = page.getByRole("region", { name: "Membridge" });
    await membridge.getByText("None is saved.").waitFor();
    expect(await membridge.innerText()).not.toContain("Not connected");
    expect(faults).toEqual([]);
    await context.close();
  });

  it("runs and fetches nothing of what a model or a user wrote", async () => {
    const { id } = await create(HOSTILE.slice(0, 120), { prompt: HOSTILE, context_id: HOSTILE.slice(0, 300) });
    await client.registerWorker({ name: "w", os_info: HOSTILE.slice(0, 200), capabilities: { labels: ["<b>x</b>"] } });
    await client.leaseTask({ id, worker_id: "w" });
    await client.heartbeatTask({ id, progress: { value: 0.5, text: HOSTILE.slice(0, 100) } });
    const { page, context, faults } = await visit(browser, url, { key: KEY });
    for (const address of ["", "/tasks", "/workers", "/audit", `/tasks/${id}`]) {
      await page.goto(`/console${address}`);
      await page.locator("main :is(h1, h2)").first().waitFor();
    }
    await client.completeTask({ id, status: "success", output: HOSTILE, metrics: { duration_ms: 1 } });
    const output = page.locator("section", { has: page.getByRole("heading", { name: "Output" }) });
    await output.locator("pre", { hasText: "<iframe" }).waitFor();
    await output.getByRole("button", { name: "As Markdown" }).click();
    await output.locator("strong", { hasText: "bold" }).waitFor();
    const made = "main :is(img, script, iframe, style, base, meta, object, [onload], [onerror])";
    expect(await page.locator(made).count()).toBe(0);
    const links = await output.getByRole("link").evaluateAll((all) => all.map((each) => each.getAttribute("href")));
    expect(links).toEqual([`${evil}/picture`, `${evil}/link`]);
    await output.getByText("run me").click();
    expect([await page.title(), asked, faults]).toEqual(["Tasks · BLOOM Runtime", [], []]);
    await context.close();
  });

  it("says that the connection is lost and since when, and reads everything anew when it is back", async () => {
    const proxy = await startProxy(new URL(url).host);
    onTestFinished(proxy.close);
    await create("before");
    const { page, context } = await visit(browser, `http://127.0.0.1:${proxy.port}`, { key: KEY });
    await page.goto("/console/tasks");
    const freshness = page.locator(".freshness");
    await freshness.filter({ hasText: "Live" }).waitFor();
    await page.locator(".task-row", { hasText: "before" }).waitFor();
    await proxy.refuse();
    await freshness.filter({ hasText: "Connection lost. You see the state of" }).waitFor();
    await create("meanwhile");
    await proxy.accept();
    await freshness.filter({ hasText: "Live" }).waitFor();
    await page.getByRole("button", { name: "1 new" }).click();
    await page.locator(".task-row", { hasText: "meanwhile" }).waitFor();
    await context.close();
  });

  it("says that the limit of calls is met and when it goes on, does so by itself, and at once where somebody asks", async () => {
    const limits = { RATE_LIMIT_PER_MINUTE: "2", RATE_LIMIT_SHARED: "true" };
    const limited = await startApp(db, { env: { RUNTIME_API_KEY: KEY, ...limits } });
    // The minute ends in an hour, so that the speed of the machine does not count.
    const setHits = (hits: number) =>
      query(
        `insert into runtime_rate_counts (key, hits, ends_at)
         values ('RATE_LIMIT_PER_MINUTE 127.0.0.1', $1, (extract(epoch from now()) * 1000)::bigint + 3600000)
         on conflict (key) do update set hits = excluded.hits`,
        [hits],
      );
    const { page, context } = await visit(browser, limited.url, { key: KEY });
    const again = page.getByRole("button", { name: "Try again", exact: true });
    // The limit allows to ask who the key is, and the stream.
    await setHits(0);
    await page.goto("/console/tasks");
    await page.getByRole("alert").filter({ hasText: "RATE_LIMIT_PER_MINUTE allows 2 a minute" }).waitFor();
    await page.locator(".fault", { hasText: /It is tried again by itself in [\d.]+ (min|hr)/ }).waitFor();
    await setHits(-1_000);
    await again.click();
    await page.locator(".task-row").first().waitFor();
    await again.waitFor({ state: "detached" });
    await context.close();
    // The limit meets the first call of another reader.
    await setHits(2);
    const { page: other, context: ukrainian } = await visit(browser, limited.url, { key: KEY, locale: "uk-UA" });
    await other.clock.install();
    await other.goto("/console/workers");
    const says = /RATE_LIMIT_PER_MINUTE дозволяє 2 на хвилину.* прийматиме їх знову через (\d+ хв|1 год)/;
    await other.getByRole("alert").filter({ hasText: says }).waitFor();
    await setHits(-1_000);
    await other.clock.fastForward(3_700_000);
    await other.locator("main h1", { hasText: "Виконавці" }).waitFor();
    // A tab that is loaded again knows who it is: the stream and two lists are all that it asks for.
    const calls: string[] = [];
    other.on("request", (request) => calls.push(new URL(request.url()).pathname.replace("/api/runtime/", "")));
    await other.reload();
    await other.locator(".freshness", { hasText: "Наживо" }).waitFor();
    await other.locator("main h1", { hasText: "Виконавці" }).waitFor();
    expect(calls.filter((call) => call === "events")).toHaveLength(1);
    expect(calls).not.toContain("whoami");
    await ukrainian.close();
  });

  it("gives other tabs the key, also late, shows both what either does, and logs both out together", async () => {
    const { page: first, context } = await visit(browser, url);
    // Nobody has a key yet, so this tab shows the form when it hears of one.
    const late = await context.newPage();
    await late.goto("/console/workers");
    await late.getByRole("button", { name: "Log in" }).waitFor();
    await first.goto("/console/tasks");
    await first.getByLabel("Key").fill(KEY);
    await first.getByRole("button", { name: "Log in" }).click();
    await first.locator(".freshness", { hasText: "Live" }).waitFor();
    const task = await create("shared");
    await first.goto(`/console/tasks/${task.id}`);
    const second = await context.newPage();
    await second.goto(`/console/tasks/${task.id}`);
    await second.getByRole("button", { name: "Cancel", exact: true }).click();
    await late.getByRole("heading", { level: 1, name: "Workers" }).waitFor();
    await second.getByRole("dialog").getByRole("button", { name: "Cancel the task", exact: true }).click();
    await first.locator(".why [data-state=cancelled]").waitFor();
    await second.getByRole("button", { name: "Log out" }).click();
    for (const page of [first, second, late]) await page.getByRole("button", { name: "Log in" }).waitFor();
    await context.close();
  });

  it("asks for less than 100 answers in any minute, while a user walks through the pages and everything changes", async () => {
    await client.registerWorker({ name: "w" });
    const { page, context, faults } = await visit(browser, url, { key: KEY });
    let second = 0;
    const calls: number[] = [];
    page.on("request", (request) => {
      if (new URL(request.url()).pathname.startsWith("/api/")) calls.push(second);
    });
    // The page's clock goes on only when it is told to, so that the speed of the machine does not count.
    await page.clock.install();
    await page.goto("/console");
    await page.clock.pauseAt(Date.now() + 3_600_000);
    const { id } = await create("walk");
    const goOnUntil = async (isDone: () => boolean | Promise<boolean>) => {
      do {
        await create("busy");
        second++;
        await page.clock.runFor(1_000);
      } while (!(await isDone()));
    };
    const walk = [
      ".tiles",
      ".task-row",
      ".why",
      "section[aria-label=w]",
      ".grid section",
      "section[aria-label=Workers]",
    ];
    for (const [step, address] of ["", "/tasks", `/tasks/${id}`, "/workers", "/accounts", "/accounts/w"].entries()) {
      await page.evaluate(
        `history.pushState(null, "", "/console${address}"); dispatchEvent(new PopStateEvent("popstate"))`,
      );
      await goOnUntil(() => page.locator(`main ${walk[step]}`).first().isVisible());
    }
    await page.evaluate(`history.pushState(null, "", "/console"); dispatchEvent(new PopStateEvent("popstate"))`);
    const end = second + 70;
    await goOnUntil(() => second >= end);
    const inMinuteFrom = (from: number) => calls.filter((at) => at >= from && at < from + 60).length;
    const most = Math.max(...calls.map(inMinuteFrom));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(100);
    expect(faults).toEqual([]);
    await context.close();
  });

  it("shows the first of 100,000 tasks, and further ones when they are asked for", async () => {
    // Their times are of the last two minutes. The service has counted older tasks before, and takes their number as it was.
    await query(
      `insert into llm_tasks (id, context_id, agent_slug, prompt, context_hints, policy, desired_format, status, created_at, updated_at, attempts, max_attempts)
       select ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'many', 'agent-' || n, 'x', '[]', '{"timeout_sec": 120, "budget": 0}', 'text', 'queued', began + n, began + n, 0, 3
       from generate_series(1, 100000) n, (select (extract(epoch from now()) * 1000)::bigint - 100000 as began) as clock`,
    );
    const { page, context, faults } = await visit(browser, url, { key: KEY });
    await page.goto("/console/tasks?context_id=many");
    const rows = page.locator(".task-row");
    await rows.first().filter({ hasText: "agent-100000" }).waitFor();
    expect(await rows.count()).toBe(50);
    await page.getByRole("button", { name: "Show more" }).click();
    await rows.nth(99).filter({ hasText: "agent-99901" }).waitFor();
    await page.locator(".counts", { hasText: /All\s*10\d(\.\d)?K/ }).waitFor();
    await page.goto("/console");
    await page.locator(".tile", { hasText: /Queued\s*10\d(\.\d)?K/ }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });
});
