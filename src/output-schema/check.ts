import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Unavailable } from "../errors.ts";
import { openFairTurns } from "../fair-turns.ts";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Judgement, Question } from "./check-thread.ts";

/** A check that takes longer is given up, and its thread is ended. */
const WITHIN_MS = 3_000;
/** A completion's check that takes longer begins again on a thread for slow ones: 25 of 3 s each held up everybody else's for a minute. */
const QUICK_MS = 300;
const TOO_LONG: Judgement = { schemaFault: `checking by it takes longer than ${WITHIN_MS / 1_000} s` };
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };
const PROGRAM = join(PACKAGE_FOLDER, "dist/check-thread.js");

/** When a thread has not started within this time, the machine has no time for it. */
const STARTS_WITHIN_MS = 30_000;

/**
 * How many questions of one asker, and of all, a thread may have, each of which may take as long as a check does at most. The askers take turns:
 * 20 checks of 3 s for one key kept all others waiting for a minute, or had them refused. Outputs may be large, so fewer of them wait.
 */
const MOST_SCHEMAS = { ofOne: 20, ofAll: 60 };
const MOST_OUTPUTS = { ofOne: 10, ofAll: 20 };
/** How long the check of a schema waits for its turn, unless the call has less time left: the caller is there, and can ask again. */
const TURN_WITHIN_MS = 10_000;

/** Creations, completions and what takes long have a thread each, so that schemas which take long to check hold up no result. */
const askOfCreation = checkThread(WITHIN_MS, MOST_SCHEMAS);
const askOfCompletion = checkThread(QUICK_MS, MOST_OUTPUTS);
const askSlowly = checkThread(WITHIN_MS, MOST_OUTPUTS);

/** The asker of a check, and how long the check may wait for its turn, in milliseconds. */
interface Asker {
  of: string;
  withinMs?: number | undefined;
}

/**
 * Why `schema` is no JSON Schema that outputs can be checked against; undefined when it is one. Unavailable: too many wait for a check, or it
 * had no turn in 10 s, or in `withinMs`.
 */
export async function schemaFault(schema: object, { of, withinMs }: Asker): Promise<string | undefined> {
  const patienceMs = Math.min(withinMs ?? Infinity, TURN_WITHIN_MS);
  return ((await askOfCreation({ schema, output: null }, { of, withinMs: patienceMs })) ?? TOO_LONG).schemaFault;
}

/**
 * Checks the output. Gives the first faults of an output that does not fit the schema, or a `schemaFault` when it could not be checked. Unavailable:
 * too many wait for a check.
 */
export async function checkOutput(schema: object, output: string, asker: Asker): Promise<Judgement> {
  const question = { schema, output };
  return (await askOfCompletion(question, asker)) ?? (await askSlowly(question, asker)) ?? TOO_LONG;
}

/**
 * Asks a thread one question at a time. A thread that takes longer than `withinMs` milliseconds is ended, and the next question starts a new one; its
 * answer is undefined.
 */
function checkThread(
  withinMs: number,
  most: { ofOne: number; ofAll: number },
): (question: Question, asker: Asker) => Promise<Judgement | undefined> {
  let thread: Worker | undefined;
  const turns = openFairTurns(most, tooMany);

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

  return async (question, asker) => {
    const end = await turns.take(asker.of, asker.withinMs);
    return await answerTo(question).finally(end);
  };
}

function tooMany(): Unavailable {
  return new Unavailable("Too many output schemas wait for their check; try again.");
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
