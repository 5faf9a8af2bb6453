import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { PACKAGE_FOLDER } from "../package-folder.ts";
import type { Judgement, Question } from "./judge.ts";

/** A check that takes longer is given up, with the thread that does it. */
const WITHIN_MS = 3_000;
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };
const PROGRAM = join(PACKAGE_FOLDER, "dist/judge.js");

let thread: Worker | undefined;
let last: Promise<unknown> = Promise.resolve();

/** Why `schema` is no JSON Schema that outputs can be checked against; undefined when it is one. */
export async function schemaFault(schema: object): Promise<string | undefined> {
  return (await ask({ schema, output: null })).schemaFault;
}

/** The first faults that the output has by the schema, none when it fits. `schemaFault`: the check itself came to nothing. */
export function checkOutput(schema: object, output: string): Promise<Judgement> {
  return ask({ schema, output });
}

/** One question at a time: the thread has one answer after the other, and a slow one is that thread's last. */
function ask(question: Question): Promise<Judgement> {
  const answer = last.then(() => answerTo(question));
  last = answer.catch(() => {});
  return answer;
}

async function answerTo(question: Question): Promise<Judgement> {
  thread ??= start();
  const asked = thread;
  return new Promise<Judgement>((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      asked
        .removeAllListeners("message")
        .removeAllListeners("error")
        .on("error", () => {});
      settle();
    };
    const lose = (settle: () => void) => {
      thread = undefined;
      end(settle);
      asked.terminate().catch(() => {});
    };
    const timer = setTimeout(
      () => lose(() => resolve({ schemaFault: `checking by it takes longer than ${WITHIN_MS / 1_000} s` })),
      WITHIN_MS,
    );
    asked.once("message", (judgement: Judgement) => end(() => resolve(judgement)));
    asked.once("error", (error: unknown) =>
      lose(() =>
        isOutOfMemory(error) ? resolve({ schemaFault: "checking by it takes too much memory" }) : reject(error),
      ),
    );
    asked.postMessage(question);
  });
}

function start(): Worker {
  const worker = new Worker(PROGRAM, { resourceLimits: LIMITS, stdout: true, stderr: true, env: {} });
  // It holds up no end of the process.
  worker.unref();
  return worker;
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
}
