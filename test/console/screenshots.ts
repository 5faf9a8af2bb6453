/** `npm run screenshots`: makes the pictures of docs/console.md anew, over the service's own PostgreSQL with example data. It needs Chromium. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserContextOptions } from "playwright-core";
import { ROOT } from "../support/compiled-programs.ts";
import { findBrowser } from "../support/find-browser.ts";
import { withExampleService } from "./example-service.ts";

const FOLDER = join(ROOT, "docs/console");
const DESKTOP = { viewport: { width: 1000, height: 640 }, colorScheme: "light" } satisfies BrowserContextOptions;
const DARK = { ...DESKTOP, colorScheme: "dark" } satisfies BrowserContextOptions;
const PHONE = { viewport: { width: 375, height: 720 }, colorScheme: "light" } satisfies BrowserContextOptions;

const executablePath = findBrowser();
if (executablePath === undefined) throw new Error("No browser is installed. apt-get install chromium");
await mkdir(FOLDER, { recursive: true });
await withExampleService(executablePath, ["--disable-lcd-text"], async (browser, url, tasks) => {
  const shoot = async (name: string, path: string, shows: string, options: BrowserContextOptions) => {
    const context = await browser.newContext({ locale: "en-GB", reducedMotion: "reduce", ...options, baseURL: url });
    const page = await context.newPage();
    await page.goto(`/console${path}`);
    await page.locator(".freshness.open").waitFor();
    await page.locator("main").filter({ hasText: shows }).waitFor();
    // As WebP, a picture takes a third of what it takes as PNG.
    const session = await context.newCDPSession(page);
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 });
    await writeFile(join(FOLDER, `${name}.webp`), data, "base64");
    await context.close();
  };
  await shoot("now", "", "claude-team", DESKTOP);
  await shoot("tasks", "/tasks", "3 of 5 compared", DESKTOP);
  await shoot("failed", `/tasks/${tasks.failed}`, "Plan the watering as JSON.", DARK);
  await shoot("waits", `/tasks/${tasks.stuck}`, "Draw a plan", DESKTOP);
  await shoot("workers", "/workers", "The battery", DESKTOP);
  await shoot("accounts", "/accounts", "claude-olena", DARK);
  await shoot("phone", "", "claude-team", { ...PHONE, locale: "uk-UA" });
});
