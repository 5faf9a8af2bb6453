/** `npm run screenshots`: makes the pictures of docs/console.md anew, over the service's own PostgreSQL with example data. It needs Chromium. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { type BrowserContextOptions, chromium } from "playwright-core";
import { startEmbedded } from "../../src/embedded/start.ts";
import { fillExample } from "../support/console-example.ts";
import { findBrowser } from "../support/find-browser.ts";
import { launch } from "../support/launch.ts";
import buildPrograms, { ROOT } from "../support/programs.ts";

const FOLDER = join(ROOT, "docs/console");
const DESKTOP = { viewport: { width: 1000, height: 640 }, colorScheme: "light" } satisfies BrowserContextOptions;
const DARK = { ...DESKTOP, colorScheme: "dark" } satisfies BrowserContextOptions;
const PHONE = { viewport: { width: 375, height: 720 }, colorScheme: "light" } satisfies BrowserContextOptions;

const executablePath = findBrowser();
if (executablePath === undefined) throw new Error("No browser is installed. apt-get install chromium");
const dataDir = await mkdtemp(join(tmpdir(), "bloom-screenshots-"));
await buildPrograms();
await mkdir(FOLDER, { recursive: true });
const postgres = await startEmbedded({ dataDir, log: pino({ level: "silent" }) });
const service = launch({ DATABASE_URL: postgres.url, RATE_LIMIT_PER_MINUTE: "0", DATA_DIR: dataDir });
const sql = new pg.Client({ connectionString: postgres.url });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-lcd-text"] });
try {
  const url = `http://127.0.0.1:${await service.listening}`;
  await sql.connect();
  const { tasks } = await fillExample(url, undefined, (statements) => sql.query(statements));
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
} finally {
  await browser.close();
  await sql.end();
  service.kill("SIGTERM");
  await service.exited;
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}
