import { onTestFinished } from "vitest";
import { launch } from "./spawn-service.ts";

/** The service as a process of its own. */
export interface ServiceProcess {
  url: string;
  pid: number;
  /** Everything that it has written to standard output and standard error. */
  output(): string;
  /** Sends the signal and gives the exit code, which is null when the signal itself ended the process. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts the service as `startService` does, and stops it when the running test is done. */
export async function startProcess(env: Record<string, string>): Promise<ServiceProcess> {
  const service = await startService(env);
  onTestFinished(async () => void (await service.stop()));
  return service;
}

/**
 * Starts the service with `env` alone as its settings, on a free port, and waits until it listens. The caller stops it.
 * Throws with its output if it ends before.
 */
export async function startService(env: Record<string, string>): Promise<ServiceProcess> {
  const { pid, output, listening, exited, kill } = launch(env);
  const stop = (signal: NodeJS.Signals = "SIGTERM") => {
    kill(signal);
    return exited;
  };
  return { url: `http://127.0.0.1:${await listening}`, pid, output, stop };
}

/** Runs the service when it is expected to refuse to start; gives its exit code and what it wrote. It is stopped if it starts all the same. */
export async function runToExit(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const { output, exited, listening, kill } = launch(env);
  listening.then(
    () => kill("SIGKILL"),
    () => {},
  );
  return { code: await exited, output: output() };
}
