/** Holds answers against the document of the calls: a call, a status, a media type, a header or a field that it does not have is a fault. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { ValidateFunction } from "ajv";
import { ANSWER_HEADERS } from "../../src/http/openapi/headers.ts";

/** An answer of the document. */
export interface DeclaredAnswer {
  /** The name of the check of its JSON, by media type; null where the body is not JSON. */
  content: Record<string, string | null>;
  headers: string[];
}

export interface DeclaredCall {
  method: string;
  path: string;
  /** By status, and `default`. */
  answers: Record<string, DeclaredAnswer>;
}

/** What was answered to a request. */
export interface Answered {
  method: string;
  /** With or without a query. */
  path: string;
  status: number;
  header(name: string): string | undefined;
  /** Undefined where it is not looked at, since it is long, or was not read to its end. */
  body: string | undefined;
}

/** The module that `answer-checks.ts` writes. */
export const CHECKS_FILE = fileURLToPath(new URL("../../dist/test/answer-checks.cjs", import.meta.url));

interface Checks {
  calls: DeclaredCall[];
  /** The name of the check of a refusal. */
  refusal: string;
  checks: Record<string, ValidateFunction>;
}
let loaded: (Omit<Checks, "calls"> & { addresses: ReturnType<typeof addressesOf> }) | undefined;
function loadChecks() {
  if (loaded) return loaded;
  const { calls, ...others }: Checks = createRequire(import.meta.url)(CHECKS_FILE);
  loaded = { ...others, addresses: addressesOf(calls) };
  return loaded;
}

function addressesOf(calls: DeclaredCall[]) {
  const all = calls.map((call) => ({
    ...call,
    pattern: new RegExp(`^${call.path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}/?$`, "i"),
    parameters: call.path.split("{").length,
  }));
  // An address without parameters is meant before one that has them.
  return all.sort((one, other) => one.parameters - other.parameters);
}

/** What the document does not have of the answer, in a sentence; undefined: it has all of it. */
export function faultOf({ method, path, status, header, body }: Answered): string | undefined {
  const [address = ""] = path.split("?");
  const isHead = method === "HEAD";
  const verb = isHead ? "get" : method.toLowerCase();
  // Express itself answers OPTIONS, and a redirect to https comes before any call.
  if (verb === "options" || status === 301 || status === 308) return undefined;
  const { addresses, refusal } = loadChecks();
  const found = addresses.find(({ pattern, ...call }) => call.method === verb && pattern.test(address));
  const call = `${method} ${found?.path ?? address}, ${status}`;
  if (!found)
    return status < 400 ? `${call}: there is no such call` : bodyFault(call, refusal, isHead ? undefined : body);
  const answer = found.answers[status] ?? found.answers.default;
  if (!answer) return `${call}: there is no such answer`;
  const extra = Object.keys(ANSWER_HEADERS).find(
    (name) => header(name) !== undefined && !answer.headers.includes(name),
  );
  if (extra) return `${call}: there is no header ${extra}`;
  const type = header("content-type")?.split(";")[0];
  if (isHead || (body === "" && (type === undefined || status === 304))) return undefined;
  const check = answer.content[type && type in answer.content ? type : "*/*"];
  if (check === undefined) return `${call}: there is no body of the type ${type}`;
  return bodyFault(call, check, body);
}

function bodyFault(call: string, name: string | null, body: string | undefined): string | undefined {
  const check = loadChecks().checks[name ?? ""];
  if (body === undefined || check === undefined || check(JSON.parse(body))) return undefined;
  const faults = check.errors?.map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
  return `${call}: ${faults?.join("; ")}\n${body.slice(0, 1_000)}`;
}
