/**
 * Runs every ```sh block of README.md and then of the pages in docs/, in order and as written, and compares what it prints with the
 * ```json block that follows it.
 * In the shown JSON, a UUID stands for any UUID, a number of 13 digits for any time, and "…" for any string; all else is to the letter.
 * The block with `npm start` runs in the background until the next block that installs, starts or migrates. After one that only installed, the
 * service is started again for the blocks that call it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const HEALTH = "http://localhost:3002/api/runtime/health";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const END = "--end-of-block--";

const pages = ["README.md", ...readdirSync("docs").map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);
const blocks = pages.flatMap((page) =>
  [...readFileSync(page, "utf8").matchAll(/^```(sh|json)\n([\s\S]*?)^```$/gm)].map(([, kind, text]) => ({
    page,
    kind,
    text,
  })),
);

/** The same value with everything that differs from run to run replaced by its kind. */
function shape(value) {
  if (Array.isArray(value)) return value.map(shape);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
  if (typeof value === "number" && value > 1e12) return "a time";
  if (typeof value === "string" && UUID.test(value)) return "a UUID";
  return value;
}

/** Like isDeepStrictEqual on shapes, but "…" in `shown` stands for any string, alone or inside one. */
function matches(shown, actual) {
  if (typeof shown === "string" && shown.includes("…")) {
    const pattern = shown
      .split("…")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join("[\\s\\S]*");
    return typeof actual === "string" && new RegExp(`^${pattern}$`).test(actual);
  }
  if (Array.isArray(shown))
    return Array.isArray(actual) && shown.length === actual.length && shown.every((one, n) => matches(one, actual[n]));
  if (shown && typeof shown === "object") {
    const same = actual && isDeepStrictEqual(new Set(Object.keys(shown)), new Set(Object.keys(actual)));
    return same && Object.entries(shown).every(([key, one]) => matches(one, actual[key]));
  }
  return isDeepStrictEqual(shown, actual);
}

/** One shell for all blocks, so that a variable set in one is there in the next. */
function startShell() {
  const bash = spawn("bash", ["-u"], { stdio: ["pipe", "pipe", "inherit"] });
  let printed = "";
  let wake = () => {};
  bash.stdout.on("data", (chunk) => {
    printed += chunk;
    wake();
  });
  bash.on("exit", () => wake());
  return {
    async run(text) {
      bash.stdin.write(`${text}\necho "${END}$?"\n`);
      for (;;) {
        const end = printed.match(new RegExp(`${END}(\\d+)\\n`));
        if (end) {
          const output = printed.slice(0, end.index);
          printed = "";
          if (end[1] !== "0") throw new Error(`This block failed (exit code ${end[1]}):\n${text}${output}`);
          return output;
        }
        if (bash.exitCode !== null) throw new Error(`The shell ended in this block:\n${text}${printed}`);
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    },
    end: () => bash.stdin.end(),
  };
}

/** Starts the service and waits until it is healthy. */
async function startService(text) {
  const child = spawn("bash", ["-c", text], { stdio: "inherit", detached: true });
  const exited = once(child, "exit");
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The service did not start:\n${text}`);
    const healthy = await fetch(HEALTH).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) break;
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  return async () => {
    process.kill(-child.pid, "SIGTERM");
    await exited;
  };
}

const shell = startShell();
const done = new Set();
let stopService;
try {
  for (const [n, { page, kind, text }] of blocks.entries()) {
    // The quick start in the second language repeats commands of the first.
    if (kind !== "sh" || done.has(text)) continue;
    done.add(text);
    process.stdout.write(`\n$ ${text}`);
    if (stopService && /^npm (ci|start|run db)/m.test(text)) {
      await stopService();
      stopService = undefined;
    }
    if (text.includes("npm start")) {
      stopService = await startService(text);
      continue;
    }
    if (!stopService && /localhost:3002|\$API\b/.test(text)) stopService = await startService("npm start");
    const output = await shell.run(text);
    process.stdout.write(output);
    const next = blocks[n + 1];
    if (next?.kind !== "json") continue;
    const [shown, actual] = [shape(JSON.parse(next.text)), shape(JSON.parse(output))];
    if (!matches(shown, actual)) throw new Error(`${page} shows\n${next.text}but this came:\n${output}`);
  }
} finally {
  await stopService?.();
  shell.end();
}
process.stdout.write("\nEvery command of the README and of docs/ did what it says.\n");
