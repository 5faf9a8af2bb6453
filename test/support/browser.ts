/** A real browser for the tests of the console: Debian's chromium, or another one that is installed, driven by playwright-core. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, inject } from "vitest";
import { findBrowser } from "./find-browser.ts";

/** Connects to the browser of the run, until the test file is done; undefined where none is installed, which is said. */
export async function openBrowser(): Promise<Browser | undefined> {
  if (findBrowser() === undefined) {
    process.stderr.write("Tests of the console are left out: no chromium is installed.\n");
    return undefined;
  }
  const answer = await fetch(inject("browserUrl"));
  const address = await answer.text();
  if (!answer.ok) throw new Error(`The browser did not start: ${address}`);
  const browser = await chromium.connect(address);
  afterAll(() => browser.close());
  return browser;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// What runs in the page is text here: these files are checked without the types of a browser.
const NOTE_REFUSED = `addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) =>
  noteFault("The policy refused " + violatedDirective + " " + blockedURI + " " + sample))`;
const FIND_BARRIERS = `axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
  violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ": " + target + " " + failureSummary)))`;

export interface Visit {
  context: BrowserContext;
  page: Page;
  /** What went wrong in its pages: errors of scripts, what the policy refused, errors in the browser's log. */
  faults: string[];
}

export interface Visitor extends BrowserContextOptions {
  /** The key to be logged in with; without one, the page asks for it. */
  key?: string;
  /** Looks for what hinders people with disabilities. */
  withAxe?: boolean;
}

/** How long a test may wait in all; each single wait gets half of it. A busy machine needs minutes for what takes seconds on an idle one. */
export const PATIENCE_MS = 240_000;
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 375, height: 720 };

/** Opens a browser of its own for somebody, whose storage is empty. */
export async function visit(
  browser: Browser,
  baseURL: string,
  { key, withAxe = false, ...options }: Visitor = {},
): Promise<Visit> {
  const context = await browser.newContext({
    baseURL,
    viewport: DESKTOP,
    locale: "en-GB",
    timezoneId: "Europe/Kyiv",
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS / 2);
  const faults: string[] = [];
  // An empty page has no storage.
  if (key !== undefined)
    await context.addInitScript({
      content: `if (origin !== "null") sessionStorage.setItem("bloom.key", ${JSON.stringify(key)})`,
    });
  if (withAxe) await context.addInitScript({ content: AXE });
  await context.exposeFunction("noteFault", (fault: string) => faults.push(fault));
  await context.addInitScript({ content: NOTE_REFUSED });
  context.on("weberror", (error) => faults.push(String(error.error())));
  context.on("console", (message) => {
    if (message.type() === "error") faults.push(`${message.text()} (${message.location().url})`);
  });
  return { context, page: await context.newPage(), faults };
}

/** What axe-core finds serious or critical on the page, a line for each. */
export const findBarriers = (page: Page): Promise<string[]> => page.evaluate(FIND_BARRIERS);

/** How far the page can be scrolled to the side, in pixels; 0 is as it should be. */
export const sidewaysScroll = (page: Page): Promise<number> =>
  page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
