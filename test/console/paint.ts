/**
 * `npm run console:paint`: how soon the start page of the console shows something, over the service's own PostgreSQL with example data.
 * Prints medians, and what the pages weigh. Without a browser it says so and measures nothing.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { ROOT } from "../support/compiled-programs.ts";
import { findBrowser } from "../support/find-browser.ts";
import { withExampleService } from "./example-service.ts";

const RUNS = 11;
/** The parser of Markdown is loaded when somebody asks for formatted text, and counts on its own. */
const MARKDOWN = /^marked\b/;
const FILES = /\w[\w.-]*-[A-Z0-9]{8}\.(?:js|css)\b/g;

/**
 * What runs in the page is text here: this file is checked without the types of a browser. The promise is kept in the frame after the one
 * that shows the tiles.
 */
const AWAIT_TILES = `globalThis.tilesPaintedAt = new Promise((resolve) => new MutationObserver((_, observer) => {
  if (!document.querySelector(".tiles")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
}).observe(document, { childList: true, subtree: true }))`;
const FIRST_PAINT = `new Promise((resolve) => new PerformanceObserver((entries) => {
  const [first] = entries.getEntriesByName("first-contentful-paint");
  if (first) resolve(first.startTime);
}).observe({ type: "paint", buffered: true }))`;

interface Load {
  firstPaintMs: number;
  usefulPaintMs: number;
  /** The processor's time of the page's main thread, on which other programs have less influence. */
  busyMs: number;
  calls: number;
}

/** Opens the start page with `load`, and tells how that went. */
async function measure(page: Page, load: () => Promise<unknown>): Promise<Load> {
  let calls = 0;
  const count = (request: { url(): string }) => {
    if (new URL(request.url()).pathname.startsWith("/api/")) calls++;
  };
  page.on("request", count);
  const browser = await page.context().newCDPSession(page);
  await browser.send("Performance.enable", { timeDomain: "threadTicks" });
  await load();
  const usefulPaintMs = await page.evaluate<number>("tilesPaintedAt");
  const firstPaintMs = await page.evaluate<number>(FIRST_PAINT);
  await page.locator(".freshness.open").waitFor();
  page.off("request", count);
  const { metrics } = await browser.send("Performance.getMetrics");
  const busySeconds = metrics.find(({ name }) => name === "TaskDuration")?.value ?? Number.NaN;
  await browser.detach();
  return { firstPaintMs, usefulPaintMs, busyMs: busySeconds * 1_000, calls };
}

/** Loads the start page in a new profile, whose cache is empty, and then once more. */
async function visitTwice(browser: Browser, url: string): Promise<{ first: Load; again: Load }> {
  const context = await browser.newContext({ baseURL: url, locale: "en-GB" });
  try {
    await context.addInitScript({ content: AWAIT_TILES });
    const page = await context.newPage();
    // The browser starts a process for a site that is new to it, which is no time of the console's.
    await page.goto("/api/runtime/health");
    const first = await measure(page, () => page.goto("/console"));
    return { first, again: await measure(page, () => page.reload()) };
  } finally {
    await context.close();
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function tell(name: string, loads: Load[]): void {
  const figures = (which: keyof Load) => loads.map((load) => load[which]);
  const ms = (which: keyof Load) =>
    `${Math.round(median(figures(which)))} ms (fastest ${Math.round(Math.min(...figures(which)))})`;
  const times = `first paint ${ms("firstPaintMs")}, numbers of the queue ${ms("usefulPaintMs")}, main thread busy ${ms("busyMs")}`;
  process.stdout.write(`${name}: ${times}, ${median(figures("calls"))} calls\n`);
}

/** What the files of the console weigh, compressed with gzip. */
async function tellSizes(): Promise<void> {
  const folder = join(ROOT, "dist/console");
  const page = await readFile(join(folder, "index.html"), "utf8");
  const files = new Set(page.match(FILES));
  // A file that is added to the set is looked at in its turn.
  for (const file of files)
    for (const name of (await readFile(join(folder, file), "utf8")).match(FILES) ?? []) files.add(name);
  const sizes = await Promise.all(
    [...files].map(async (file) => ({ file, size: (await stat(join(folder, `${file}.gz`))).size })),
  );
  const kilobytes = (wanted: (file: string) => boolean) =>
    (sizes.reduce((sum, { file, size }) => (wanted(file) ? sum + size : sum), 0) / 1e3).toFixed(1);
  const scripts = kilobytes((file) => file.endsWith(".js") && !MARKDOWN.test(file));
  const styles = kilobytes((file) => file.endsWith(".css"));
  const parser = kilobytes((file) => MARKDOWN.test(file));
  process.stdout.write(`gzip: scripts ${scripts} KB, styles ${styles} KB; the parser of Markdown ${parser} KB\n`);
}

async function run(browser: Browser, url: string): Promise<void> {
  const loads: { first: Load; again: Load }[] = [];
  // The first visit warms the service and the browser up, and does not count.
  for (let n = 0; n <= RUNS; n++) loads.push(await visitTwice(browser, url));
  const counted = loads.slice(1);
  tell(
    "Empty cache",
    counted.map(({ first }) => first),
  );
  tell(
    "Loaded again",
    counted.map(({ again }) => again),
  );
  await tellSizes();
}

const executablePath = findBrowser();
if (executablePath === undefined) process.stdout.write("Skipped: no browser is installed. apt-get install chromium\n");
else await withExampleService(executablePath, [], run);
