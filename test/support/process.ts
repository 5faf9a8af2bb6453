import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The service as a process of its own, as `npm start` runs it. */
export interface ServiceProcess {
  url: string;
  pid: number;
  /** Everything that it has written to standard output and standard error. */
  output(): string;
  /** Sends the signal and gives the exit code, which is null when the signal itself ended the process. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const running = new Set<ServiceProcess>();
afterAll(async () => {
  await Promise.all([...running].map((service) => service.stop()));
});

/** Starts the service with `env` alone as its settings, on a free port, and waits until it listens. Throws with its output if it ends before. */
export async function startProcess(env: Record<string, string>): Promise<ServiceProcess> {
  const { child, output, exited } = launch(env);
  const port = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const found = output().match(/"port":(\d+)/);
      if (found?.[1]) resolve(found[1]);
    };
    child.stdout.on("data", look);
    exited.then((code) => reject(new Error(`The service ended with ${code}:\n${output()}`)), reject);
  });
  const service: ServiceProcess = {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    output,
    stop: (signal = "SIGTERM") => {
      child.kill(signal);
      return exited;
    },
  };
  running.add(service);
  return service;
}

/** Runs the service when it is expected to refuse to start; gives its exit code and what it wrote. */
export async function runToExit(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const { output, exited } = launch(env);
  return { code: await exited, output: output() };
}

function launch(env: Record<string, string>) {
  const { PATH = "" } = process.env;
  const child = spawn(process.execPath, ["--import", "tsx", "src/server.ts"], {
    cwd: ROOT,
    env: { PATH, BLOOM_RUNTIME_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let written = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (written += chunk));
  const exited = once(child, "close").then(([code]: (number | null)[]) => code ?? null);
  return { child, output: () => written, exited };
}
