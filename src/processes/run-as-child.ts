/** The child's side: a process that the first process (start-processes.ts) has started, and that serves. */
import type { Logger } from "pino";
import { type Config, loadConfig } from "../config.ts";
import type { Server } from "../db/given-or-embedded-server.ts";
import { lastWords } from "../errors.ts";
import { createLog } from "../log.ts";
import type { Family } from "../metrics/prometheus-text.ts";
import type { FromChild, GivenSettings, ToChild } from "./messages.ts";
import { openQuestions } from "./questions.ts";

/** What the first process does for a service that runs in a child of it. */
export interface FirstProcess {
  /** Whether other children listen already. Then this one listens only when it is ready, so that no connection comes to it before. */
  joins: boolean;
  /** Gives the database, when its tables are up to date. */
  database(): Promise<Server>;
  tellPort(port: number): void;
  /** Takes a function that reads the metrics of this process, and gives a function that reads those of all processes. */
  shareMetrics(own: () => Family[]): () => Promise<Family[]>;
}

type StartService = (config: Config, log: Logger, first: FirstProcess) => Promise<{ stop(): Promise<void> }>;

/**
 * Starts the service when the first process sends the settings, and then does what the first process says. Signals do nothing here: a terminal and
 * some supervisors send them to every process, and the first one decides what they mean.
 */
export function runAsChild(startService: StartService): void {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
  const questions = openQuestions<Family[]>();
  let ownMetrics: () => Family[] = () => [];
  let giveUrl = (_url: string): void => {};
  const url = new Promise<string>((resolve) => {
    giveUrl = resolve;
  });
  let log: Logger | undefined;
  let service: { stop(): Promise<void> } | undefined;

  async function serve(settings: GivenSettings, joins: boolean): Promise<void> {
    const config = loadConfig(settings);
    log = createLog(config.logLevel, undefined, { pid: process.pid });
    service = await startService(config, log, {
      joins,
      database: async () => ({ url: await url, wake: async () => {}, stop: async () => {} }),
      tellPort: (port) => tell({ kind: "listening", port }),
      shareMetrics(own) {
        ownMetrics = own;
        return () => questions.ask((question) => tell({ kind: "tell the metrics of all", question }));
      },
    });
    tell({ kind: "started" });
  }

  async function stop(): Promise<void> {
    await service?.stop();
    if (log) log.flush(() => process.exit(0));
    else process.exit(0);
  }

  const fail = (error: unknown) => tell({ kind: "fault", reason: lastWords(error) }, () => process.exit(1));
  process.on("message", (message: ToChild) => {
    if (message.kind === "settings") serve(message.settings, message.joins).catch(fail);
    else if (message.kind === "database") giveUrl(message.url);
    else if (message.kind === "stop") stop().catch(fail);
    else if (message.kind === "tell your metrics")
      tell({ kind: "my metrics", question: message.question, families: ownMetrics() });
    else questions.answer(message.question, message.families);
  });
  tell({ kind: "hears" });
}

function tell(message: FromChild, then = (): void => {}): void {
  process.send?.(message, undefined, undefined, then);
}
