import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Unavailable } from "../errors.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Judgement, Question } from "./check-thread.ts";

/** A check that takes longer is given up, and its thread is ended. */
const WITHIN_MS = 3_000;
/** A completion's check that takes longer begins again on a thread for slow ones: 25 of 3 s each held up everybody else's for a minute. */
const QUICK_MS = 300;
const TOO_LONG: Judgement = { schemaFault: `checking by it takes longer than ${WITHIN_MS / 1_000} s` };
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };
const PROGRAM = join(PACKAGE_FOLDER, "dist/check-thread.js");

/** A thread that is not there by then means that the machine has no time for it. */
const STARTS_WITHIN_MS = 30_000;

/** How many questions may wait for the thread, each for as long as a check takes at most. */
const MOST_WAITING = 20;

/** Creations, completions and what takes long have a thread each, so that schemas which take long to check hold up no result. */
const askOfCreation = checkThread(WITHIN_MS);
const askOfCompletion = checkThread(QUICK_MS);
const askSlowly = checkThread(WITHIN_MS);

/** Why `schema` is no JSON Schema that outputs can be checked against; undefined when it is one. Unavailable: too many wait for a check. */
export async function schemaFault(schema: object): Promise<string | undefined> {
  return ((await askOfCreation({ schema, output: null })) ?? TOO_LONG).schemaFault;
}

/**
 * Checks the output. Gives the first faults of an output that does not fit the schema, or a `schemaFault` when it could not be checked. Unavailable:
 * too many wait for a check.
 */
export async function checkOutput(schema: object, output: string): Promise<Judgement> {
  const question = { schema, output };
  return (await askOfCompletion(question)) ?? (await askSlowly(question)) ?? TOO_LONG;
}

/**
 * Asks a thread one question at a time. A thread that takes longer than `withinMs` milliseconds is ended, and the next question starts a new one; its
 * answer is undefined.
 */
function checkThread(withinMs: number): (question: Question) => Promise<Judgement | undefined> {
  let thread: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  function forget(worker: Worker): void {
    if (thread === worker) thread = undefined;
  }

  async function begin(): Promise<Worker> {
    const worker = await start();
    // A thread that has ended by itself answers nothing: the next question starts another one.
    worker.once("exit", () => forget(worker));
    thread = worker;
    return worker;
  }

  async function answerTo(question: Question): Promise<Judgement | undefined> {
    // The time of the thread's start is no fault of a schema: on a busy machine it may be seconds.
    const asked = thread ?? (await begin());
    return new Promise<Judgement | undefined>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        asked
          .removeAllListeners("message")
          .removeAllListeners("error")
          .on("error", () => {});
        settle();
      };
      const lose = (settle: () => void) => {
        forget(asked);
        end(settle);
        asked.terminate().catch(() => {});
      };
      const timer = setTimeout(() => lose(() => resolve(undefined)), withinMs);
      asked.once("message", (judgement: Judgement) => end(() => resolve(judgement)));
      asked.once("error", (error: unknown) =>
        lose(() =>
          isOutOfMemory(error) ? resolve({ schemaFault: "checking by it takes too much memory" }) : reject(error),
        ),
      );
      asked.postMessage(question);
    });
  }

  return async (question) => {
    if (waiting >= MOST_WAITING) throw new Unavailable("Too many output schemas wait for their check; try again.");
    waiting += 1;
    const answer = last.then(() => answerTo(question));
    last = answer.catch(() => {});
    return await answer.finally(() => {
      waiting -= 1;
    });
  };
}

/** The thread, ready for questions. Unavailable: it did not start in time. */
async function start(): Promise<Worker> {
  const worker = new Worker(PROGRAM, { resourceLimits: LIMITS, stdout: true, stderr: true, env: {} });
  // The process may end while the thread is there.
  worker.unref();
  try {
    // Its first message says that it is ready.
    await once(worker, "message", { signal: AbortSignal.timeout(STARTS_WITHIN_MS) });
    return worker;
  } catch (error) {
    await worker.terminate();
    throw error instanceof Error && error.name === "AbortError"
      ? new Unavailable("The check of schemas could not be started in time; try again.")
      : error;
  }
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
}
