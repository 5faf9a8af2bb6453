/**
 * Compiles the document of the calls to a module that checks their answers, once for a test run. To compile the schemas in each test file took
 * 1 to 2 s of it; to load them compiled takes 30 ms.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import Ajv2020 from "ajv/dist/2020.js";
import standaloneCode from "ajv/dist/standalone/index.js";
import { declaredCalls } from "../../src/app.ts";
import { documentOf } from "../../src/http/openapi/document.ts";
import { CHECKS_FILE, type DeclaredAnswer, type DeclaredCall } from "./against-document.ts";

interface Response {
  $ref?: string;
  headers?: object;
  content?: Record<string, { schema: object }>;
}

export default function writeAnswerChecks(): void {
  const document = documentOf(declaredCalls(), "0.0.0");
  const ajv = new Ajv2020.default({ strict: false, validateFormats: false, inlineRefs: false, code: { source: true } });
  ajv.addSchema({ $id: "document", ...withoutTexts(document) });
  const checks = new Map<string, string>();
  const checkOf = (pointer: string, schema: object) => {
    const text = JSON.stringify(schema);
    const name = checks.get(text) ?? `check${checks.size}`;
    if (!checks.has(text)) ajv.addSchema({ $id: name, $ref: `document${pointer}` });
    checks.set(text, name);
    return name;
  };
  const answerOf = (pointer: string, { $ref, ...own }: Response): DeclaredAnswer => {
    const at = $ref ?? pointer;
    const { content = {}, headers = {} } = $ref ? (partOf($ref, document) as Response) : own;
    const types = Object.entries(content).map(([type, { schema }]) => {
      const isJson = type === "application/json" && !("*/*" in content);
      return [type, isJson ? checkOf(`${at}/content/${escapedPart(type)}/schema`, schema) : null];
    });
    return { content: Object.fromEntries(types), headers: Object.keys(headers) };
  };
  const calls: DeclaredCall[] = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => {
      const at = `#/paths/${escapedPart(path)}/${method}/responses`;
      const answers = Object.entries(responses as Record<string, Response>).map(([status, response]) => [
        status,
        answerOf(`${at}/${status}`, response),
      ]);
      return { method, path, answers: Object.fromEntries(answers) };
    }),
  );
  const refusal = checkOf("#/components/schemas/Error", { $ref: "#/components/schemas/Error" });
  const names = Object.fromEntries([...checks.values()].map((name) => [name, name]));
  const code = standaloneCode.default(ajv, names);
  mkdirSync(dirname(CHECKS_FILE), { recursive: true });
  const rest = { calls: JSON.stringify(calls), refusal: JSON.stringify(refusal), checks: "{ ...exports }" };
  const exported = Object.entries(rest).map(([name, value]) => `exports.${name} = ${value};\n`);
  writeFileSync(CHECKS_FILE, `${code}\n${exported.reverse().join("")}`);
}

/** The schemas without what is told of them, which the module would have as well. A field may have one of these names. */
function withoutTexts(document: object): object {
  const isText = (name: string, value: unknown) =>
    (name === "examples" && Array.isArray(value)) || (name === "description" && typeof value === "string");
  return JSON.parse(JSON.stringify(document), (name, value) => (isText(name, value) ? undefined : value));
}

const escapedPart = (name: string) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));

function partOf(reference: string, document: object): unknown {
  const names = reference.slice(2).split("/");
  return names.reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], document);
}
