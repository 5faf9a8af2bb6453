/** Every page in a real browser: what it shows, in both languages, on a desktop and a phone, light and dark, and for people with disabilities. */
import { afterAll, describe, expect, it } from "vitest";
import { startApp } from "../support/app.ts";
import { DESKTOP, findBarriers, openBrowser, PATIENCE_MS, PHONE, sidewaysScroll, visit } from "../support/browser.ts";
import { fillExample } from "../support/console-example.ts";
import { createTestDatabase } from "../support/database.ts";
import { aProject, startMembridge } from "../support/scripted-membridge.ts";

const KEY = "the key of the admin";

const { db, query } = await createTestDatabase();
const membridge = await startMembridge();
afterAll(membridge.close);
membridge.projects = [aProject("garden-seedling", "aeeafec3a5b5710f")];
const { url } = await startApp(db, { env: { RUNTIME_API_KEY: KEY, MEMBRIDGE_SERVER_URL: membridge.url } });
const { tasks } = await fillExample(url, KEY, query);
const browser = await openBrowser();

/** Each page by its path, with its heading in both languages where it is no name, and what it shows in any language. */
const PAGES: [
  path: string,
  heading: { en: string; uk: string } | string,
  shows: (string | { en: string; uk: string })[],
][] = [
  ["", { en: "Now", uk: "Зараз" }, ["claude-team", "gpu-h100", "vps-old", "planner"]],
  ["/tasks", { en: "Tasks", uk: "Завдання" }, ["researcher", "3 of 5 compared", "seedling-site"]],
  [
    `/tasks/${tasks.completed}`,
    "writer",
    ["The beds by the", "claude-sonnet-4-5", { en: "Result handed in", uk: "Результат здано" }],
  ],
  [
    `/tasks/${tasks.stuck}`,
    "painter",
    [{ en: "has the label(s) gpu-h100", uk: "потрібної мітки (міток): gpu-h100" }, "Draw a plan of the beds."],
  ],
  [`/tasks/${tasks.failed}`, "planner", ["The output is not JSON", "workstation"]],
  ["/new", { en: "New task", uk: "Нове завдання" }, ["curl", "/api/runtime/llm-tasks"]],
  ["/workers", { en: "Workers", uk: "Виконавці" }, ["rpi-garden", "The battery is replaced", "arm64"]],
  ["/accounts/claude-team", "claude-team", ["workstation", "100%", "UTC"]],
  ["/accounts", { en: "Accounts and usage", uk: "Акаунти та використання" }, ["claude-olena", "claude-team", "UTC"]],
  [
    "/audit",
    { en: "Audit", uk: "Журнал" },
    [
      { en: "Task created", uk: "Завдання створено" },
      { en: "Task for agent writer", uk: "Агент writer" },
      { en: "Status: success", uk: "Успіх, тривалість" },
      { en: "gets no new work for 90 min", uk: "не отримує завдань 90 хв" },
      "laptop-anna",
    ],
  ],
  ["/membridge", "Membridge", ["garden-seedling", "aeeafec3a5b5710f"]],
  ["/settings", { en: "Settings", uk: "Налаштування" }, ["dashboard", "garden-seedling"]],
];

const BAR_HEIGHT = 70;

/** The tables that are wider than what is around them. Run in the page, whose types this file does not have. */
const cutOff = (tables: { innerText: string; scrollWidth: number; parentElement: { clientWidth: number } | null }[]) =>
  tables
    .filter(({ scrollWidth, parentElement }) => parentElement && scrollWidth > parentElement.clientWidth)
    .map(({ innerText }) => innerText);

describe.skipIf(!browser)("the pages of the console", { timeout: PATIENCE_MS }, async () => {
  if (!browser) return;
  const english = await visit(browser, url, { key: KEY, withAxe: true });
  const ukrainian = await visit(browser, url, { key: KEY, withAxe: true, locale: "uk-UA" });

  it.each(PAGES)("%s", async (path, heading, shows) => {
    for (const [language, { page, faults }] of Object.entries({ en: english, uk: ukrainian })) {
      await page.setViewportSize(DESKTOP);
      await page.emulateMedia({ colorScheme: language === "en" ? "light" : "dark" });
      await page.goto(`/console${path}`);
      const title = typeof heading === "string" ? heading : heading[language as "en" | "uk"];
      await page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor();
      const said = shows.map((text) => (typeof text === "string" ? text : text[language as "en" | "uk"]));
      for (const text of said) await page.locator("main").filter({ hasText: text }).waitFor();
      expect(await page.locator("html").getAttribute("lang")).toBe(language);
      expect(await sidewaysScroll(page)).toBe(0);
      expect(await findBarriers(page)).toEqual([]);
      await page.setViewportSize(PHONE);
      expect(await sidewaysScroll(page)).toBe(0);
      expect(await page.locator("table").evaluateAll(cutOff)).toEqual([]);
      // What needs attention and what failed lately stand on a phone's first screen, above the bar at its end.
      if (path === "") {
        const { y = Number.NaN } = (await page.locator("#failures").boundingBox()) ?? {};
        expect(y).toBeLessThan(PHONE.height - BAR_HEIGHT);
      }
      expect(faults).toEqual([]);
    }
  });

  it("names first what somebody has to mend, and last what is over by itself", async () => {
    await english.page.setViewportSize(DESKTOP);
    await english.page.goto("/console");
    const lines = english.page.locator(".attention li");
    await lines.first().filter({ hasText: "Worker build-box is logged out" }).waitFor();
    await lines.last().filter({ hasText: "Account claude-team: at its limit" }).waitFor();
  });
});
