import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { type Browser, chromium } from "playwright-core";
import { startEmbedded } from "../../src/embedded/start.ts";
import buildPrograms from "../support/compiled-programs.ts";
import { type Example, fillExample } from "../support/console-example.ts";
import { launch } from "../support/spawn-service.ts";

/** Starts the service over its own PostgreSQL with the example data, and a browser; gives them to `look`, and ends them after it. */
export async function withExampleService(
  executablePath: string,
  args: string[],
  look: (browser: Browser, url: string, tasks: Example["tasks"]) => Promise<void>,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "bloom-example-"));
  await buildPrograms();
  const postgres = await startEmbedded({ dataDir, log: pino({ level: "silent" }) });
  const service = launch({ DATABASE_URL: postgres.url, RATE_LIMIT_PER_MINUTE: "0", DATA_DIR: dataDir });
  const sql = new pg.Client({ connectionString: postgres.url });
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
  try {
    const url = `http://127.0.0.1:${await service.listening}`;
    await sql.connect();
    const { tasks } = await fillExample(url, undefined, (statements) => sql.query(statements));
    await look(browser, url, tasks);
  } finally {
    await browser.close();
    await sql.end();
    service.kill("SIGTERM");
    await service.exited;
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
