/** The first process's handle on a child, which serves: its messages, its metrics and its end. */
import cluster, { type Worker } from "node:cluster";
import { setTimeout as delay } from "node:timers/promises";
import { StartError } from "../errors.ts";
import type { Family } from "../metrics/prometheus-text.ts";
import type { FromChild, GivenSettings, ToChild } from "./messages.ts";
import { openQuestions } from "./questions.ts";

/** A child that is too busy to tell its metrics in this time is counted with those that it told before. */
const METRICS_WITHIN_MS = 1_000;

/** How a child ended: its exit code or the signal, and the reason where it could not start. */
export interface End {
  code: number | null;
  signal: string | null;
  reason?: string;
}

export interface ChildHandle {
  pid: number | undefined;
  /** The port, as soon as the child listens. Rejects with a StartError when the child ends before; so does `started`. */
  listening: Promise<number>;
  started: Promise<void>;
  ended: Promise<End>;
  /** A message to a child that does not hear yet waits, and one to a child that has ended is dropped. */
  send(message: ToChild): void;
  /** The child's metrics now, or those that it told last where it does not answer within a second. */
  metrics(): Promise<Family[]>;
  /** The metrics that the child told last. */
  lastMetrics(): Family[];
  kill(): void;
}

/** Starts a child with these settings. `metricsOfAll` is for its `GET /metrics`. Throws where the system can start no more processes. */
export function startChild(
  settings: GivenSettings,
  joins: boolean,
  metricsOfAll: () => Promise<Family[]>,
): ChildHandle {
  const worker = cluster.fork();
  const dropHandedOver = watchHandedOver(worker);
  const questions = openQuestions<void>();
  let last: Family[] = [];
  let reason: string | undefined;
  let hasEnded = false;

  const ended = new Promise<End>((resolve) => {
    const end = (code: number | null, signal: string | null) => {
      hasEnded = true;
      dropHandedOver();
      resolve({ code, signal, ...(reason !== undefined && { reason }) });
    };
    worker.once("exit", (code: number | null, signal: string | null) => {
      // What the child said before may not have been read yet.
      if (worker.isConnected()) worker.process.once("disconnect", () => end(code, signal));
      else end(code, signal);
    });
    // A child that got no process has no exit. Any other error is about a message, and the child's exit follows.
    worker.on("error", () => worker.process.pid === undefined && end(null, null));
  });
  const endedEarly = ended.then((end) => {
    throw new StartError(end.reason ?? `A process of the service ended in its start (${end.signal ?? end.code}).`);
  });
  const listening = Promise.race([heard(worker, "listening").then(({ port }) => port), endedEarly]);
  const started = Promise.race([heard(worker, "started").then(() => {}), endedEarly]);
  // Those who wait for these promises hear of a rejection. Without this, a rejection that nobody waits for would end the process.
  for (const each of [listening, started]) each.catch(() => {});

  let unsent: ToChild[] | undefined = [];
  const send = (message: ToChild) => {
    if (unsent) unsent.push(message);
    else if (worker.isConnected()) worker.send(message, () => {});
  };
  worker.on("message", async (message: FromChild) => {
    if (message.kind === "hears") {
      const messages = unsent ?? [];
      unsent = undefined;
      for (const each of messages) send(each);
    }
    if (message.kind === "fault") reason = message.reason;
    if (message.kind === "my metrics" && !hasEnded) {
      last = message.families;
      questions.answer(message.question);
    }
    if (message.kind === "tell the metrics of all")
      send({ kind: "metrics of all", question: message.question, families: await metricsOfAll() });
  });
  send({ kind: "settings", settings, joins });
  return {
    pid: worker.process.pid,
    listening,
    started,
    ended,
    send,
    async metrics() {
      const told = questions.ask((question) => send({ kind: "tell your metrics", question }));
      await Promise.race([told, ended, delay(METRICS_WITHIN_MS, undefined, { ref: false })]);
      return last;
    },
    lastMetrics: () => last,
    kill: () => void worker.process.kill("SIGKILL"),
  };
}

function heard<Kind extends FromChild["kind"]>(
  worker: Worker,
  kind: Kind,
): Promise<Extract<FromChild, { kind: Kind }>> {
  return new Promise((resolve) => {
    const hear = (message: FromChild) => {
      if (!isOf(message, kind)) return;
      worker.off("message", hear);
      resolve(message);
    };
    worker.on("message", hear);
  });
}

const isOf = <Kind extends FromChild["kind"]>(
  message: FromChild,
  kind: Kind,
): message is Extract<FromChild, { kind: Kind }> => message.kind === kind;

/**
 * Gives a function that closes the connection that was on its way to the child when the child ended. Node waits for the child to say that it has the
 * connection before it closes its own end (round_robin_handle.js), and one such client waited for ever. Connections are handed over one at a time.
 */
function watchHandedOver({ process: child }: Worker): () => void {
  let handedOver: unknown;
  child.send = new Proxy(child.send, {
    apply(send, self, values) {
      if (isClosable(values[1])) handedOver = values[1];
      return Reflect.apply(send, self, values);
    },
  });
  // Where the connection had arrived, Node has closed its own end already. To close it again does nothing.
  return () => isClosable(handedOver) && handedOver.close();
}

const isClosable = (value: unknown): value is { close(): void } =>
  typeof value === "object" && value !== null && "close" in value && typeof value.close === "function";
