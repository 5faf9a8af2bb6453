import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const WITHIN_MS = 180_000;

/**
 * The path of Node.js 24 and its version, got by npx. From the package of this platform, which has the program in it: the package `node` fetches it
 * in an install script, and where npm runs none, npx takes the Node.js that is there without a word. Throws a sentence where it cannot be had.
 */
export async function findNode24(): Promise<{ path: string; version: string }> {
  const { platform, arch } = process;
  const name = platform === "darwin" && arch === "arm64" ? `node-bin-${platform}-${arch}` : `node-${platform}-${arch}`;
  const print = "JSON.stringify({ path: process.execPath, version: process.version })";
  const { stdout } = await run("npx", ["--yes", "-p", `${name}@24`, "node", "-p", print], { timeout: WITHIN_MS }).catch(
    (error: Error) => {
      throw new Error(
        `npx cannot get Node.js 24 from the package ${name}; pg-boss 12 is measured on it: ${error.message}`,
      );
    },
  );
  const found: { path: string; version: string } = JSON.parse(stdout);
  if (!found.version.startsWith("v24."))
    throw new Error(`npx gave Node.js ${found.version} where 24 was asked for; pg-boss 12 is measured on Node.js 24.`);
  return found;
}
