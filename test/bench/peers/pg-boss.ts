import { execFile } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { launchProgram } from "../../support/spawn-service.ts";
import type { Work } from "../load.ts";
import type { BenchPostgres } from "../postgres.ts";
import { completion, newTask } from "../work.ts";
import { findNode24 } from "./node-24.ts";
import type { Side } from "./side.ts";

const run = promisify(execFile);
const INSTALLED_WITHIN_MS = 180_000;
const VERSION = "12.38.0";
/** pg-boss, and what its own proxy is made of: that one is not on npm. */
const PACKAGES = [
  `pg-boss@${VERSION}`,
  "hono@4.13.19",
  "@hono/node-server@2.1.9",
  "@hono/zod-openapi@1.6.3",
  "zod@4.6.7",
  "@logtape/hono@2.3.7",
  "@logtape/logtape@2.4.2",
];
const PROXY = "pg-boss-proxy.mjs";
const name = "tasks";

/** send, fetch, complete. */
const work: Work = async (caller, _client, n) => {
  await caller.call("send", "POST", "/api/send", { name, data: newTask(n) });
  const { result }: { result: { id: string }[] } = JSON.parse(
    await caller.call("fetch", "POST", "/api/fetch", { name }),
  );
  for (const { id } of result) await caller.call("complete", "POST", "/api/complete", { name, id, data: completion });
  return result.length;
};

/** Installs pg-boss into a folder of its own and serves it on Node.js 24. Throws a sentence where either cannot be had. */
export async function openPgBoss({ folder: parent, makeDatabase, atEnd }: BenchPostgres): Promise<Side> {
  const node = await findNode24();
  const folder = join(parent, "pg-boss");
  await mkdir(folder);
  await copyFile(new URL(PROXY, import.meta.url), join(folder, PROXY));
  const options = ["--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  await run("npm", ["install", ...options, ...PACKAGES], { cwd: folder, timeout: INSTALLED_WITHIN_MS }).catch(
    (error: Error) => {
      throw new Error(`npm cannot install ${PACKAGES.join(", ")}: ${error.message}`);
    },
  );
  const database = await makeDatabase("pg_boss_peers");
  const proxy = launchProgram(node.path, [PROXY], folder, { DATABASE_URL: database.url });
  atEnd(async () => {
    proxy.kill("SIGTERM");
    await proxy.exited;
  });
  return {
    base: `http://127.0.0.1:${await proxy.listening}`,
    pid: proxy.pid,
    database,
    title: `pg-boss ${VERSION} behind an HTTP proxy, Node.js ${node.version}`,
    work,
    completed: "select count(*)::int as n from pgboss.job where state = 'completed'",
  };
}
