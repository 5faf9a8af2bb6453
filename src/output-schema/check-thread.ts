/**
 * The program of the thread that checks outputs against JSON Schemas (check.ts). Schemas are other people's code: compiling one may take long,
 * and its patterns may take for ever, so neither is done where requests are answered.
 */
import { parentPort } from "node:worker_threads";
import { Ajv, type ErrorObject, type Options } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { messageOf } from "../errors.ts";

/** What the thread is asked: a schema alone, or with an output. */
export interface Question {
  schema: object;
  output: string | null;
}
/** `schemaFault`: why outputs cannot be checked by the schema. `outputFaults`: what is wrong with the output. Neither: the output fits. */
export interface Judgement {
  schemaFault?: string;
  outputFaults?: string[];
}

const MOST_FAULTS = 5;
const LONGEST_FAULT = 300;
const DRAFT_2020 = /\/2020-12\//;
// No `loadSchema`: nothing is ever fetched. Without `optimize: false`, a schema of 20 KB takes four times as long.
const OPTIONS: Options = { strict: false, logger: false, allErrors: true, code: { optimize: false } };
// Two instances judge the schemas themselves, and are kept: making one takes 30 ms. A schema is compiled by an instance of its own, so that
// no name in it meets another's, and nothing of it stays.
const meta = new Ajv(OPTIONS);
const meta2020 = new Ajv2020(OPTIONS);
const FOR_ONE: Options = { ...OPTIONS, meta: false, validateSchema: false };

function judge({ schema, output }: Question): Judgement {
  const is2020 = "$schema" in schema && typeof schema.$schema === "string" && DRAFT_2020.test(schema.$schema);
  const judgeOfSchemas = is2020 ? meta2020 : meta;
  try {
    if (output === null && !judgeOfSchemas.validateSchema(schema))
      return { schemaFault: faultsIn(judgeOfSchemas.errors).join("; ") };
    const validate = new (is2020 ? Ajv2020 : Ajv)(FOR_ONE).compile(schema);
    // An asynchronous check answers with a promise, whose rejection would end this thread and fail the next question.
    if ("$async" in validate && validate.$async) return { schemaFault: "it is asynchronous ($async)" };
    if (output === null) return {};
    const value = parsed(output);
    if (value === NOT_JSON) return { outputFaults: ["it is not JSON"] };
    return validate(value) ? {} : { outputFaults: faultsIn(validate.errors) };
  } catch (error) {
    return { schemaFault: messageOf(error).slice(0, LONGEST_FAULT).toWellFormed() };
  }
}

const NOT_JSON = Symbol("not JSON");
function parsed(output: string): unknown {
  try {
    return JSON.parse(output);
  } catch {
    return NOT_JSON;
  }
}

function faultsIn(errors: ErrorObject[] | null | undefined): string[] {
  return (errors ?? []).slice(0, MOST_FAULTS).map(({ instancePath, message, params }) => {
    const where = instancePath === "" ? "" : `${instancePath} `;
    const which = "additionalProperty" in params ? ` (${params.additionalProperty})` : "";
    return `${where}${message ?? "is not valid"}${which}`.slice(0, LONGEST_FAULT).toWellFormed();
  });
}

parentPort?.postMessage("ready");
parentPort?.on("message", (question: Question) => parentPort?.postMessage(judge(question)));
