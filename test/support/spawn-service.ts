/** The service as a process of its own, as `npm start` runs it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { argumentsOf, environmentOfStart, ROOT } from "./compiled-programs.ts";

/** What `npm start` tells Node: the heap begins small and grows when it is needed, where it would take 100 MB before it looks for garbage. */
const START = argumentsOf("start");

export interface Launched {
  pid: number;
  /** Our end of its standard output. */
  stdout: Readable;
  /** Everything that it has written to standard output and standard error. */
  output(): string;
  /** Resolves to its port when it listens. Rejects with its output when it ends before. */
  listening: Promise<string>;
  /** Resolves to its exit code, which is null when a signal ended it. */
  exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts it with `env` alone as its settings, on a free port unless `env` names one. `nodeOptions` come before its own. */
export function launch(env: Record<string, string>, nodeOptions: string[] = []): Launched {
  return launchProgram(process.execPath, [...nodeOptions, ...START], ROOT, {
    ...environmentOfStart(),
    BLOOM_RUNTIME_PORT: "0",
    ...env,
  });
}

/** Starts any program that prints `"port":<its port>` when it listens, in the folder `cwd`, with `env` alone as its settings. */
export function launchProgram(command: string, args: string[], cwd: string, env: Record<string, string>): Launched {
  const { PATH = "", TMPDIR } = process.env;
  const child = spawn(command, args, {
    cwd,
    env: { PATH, ...(TMPDIR && { TMPDIR }), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let written = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      written += chunk;
    });
  const exited = once(child, "close").then(([code]: (number | null)[]) => code ?? null);
  const listening = new Promise<string>((resolve, reject) => {
    // Looked for once: a service that runs for long writes much.
    const look = () => {
      const found = written.match(/"port":(\d+)/);
      if (!found?.[1]) return;
      child.stdout.off("data", look);
      resolve(found[1]);
    };
    child.stdout.on("data", look);
    exited.then((code) => reject(new Error(`The service ended with ${code}:\n${written}`)), reject);
  });
  // A service that is meant to end has nobody who waits until it listens: without this, its end would be an unhandled rejection.
  listening.catch(() => {});
  return {
    pid: child.pid ?? Number.NaN,
    stdout: child.stdout,
    output: () => written,
    listening,
    exited,
    kill: (signal) => void child.kill(signal),
  };
}
