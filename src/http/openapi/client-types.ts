/** What the client in `src/client` knows of the calls: their types, and their addresses. */
import type { Document } from "./document.ts";
import type { Operation } from "./operation-object.ts";
import type { Schema } from "./schemas.ts";
import { arrayOf, docOf, typeOf } from "./typescript-type.ts";

const HEADING = `/** Made from the declarations of the calls by \`npm run client:generate\`. A test compares both. */
import type { Bytes, Options, Page } from ${JSON.stringify("./call.ts")};
`;

/** Errors are thrown, and their record would hide the class of that name. */
const NOT_NAMED = "Error";

/** The TypeScript module that has a method for each call of the document, types of its arguments and of the records, and the calls' addresses. */
export function clientTypesOf({ paths, components }: Document): string {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]) => ({ path, method, ...each })),
  );
  calls.sort((one, other) => (one.operationId < other.operationId ? -1 : 1));
  const records = Object.entries(components.schemas).filter(([name]) => name !== NOT_NAMED);
  return [
    HEADING,
    ...records.map(([name, schema]) => `${docOf(schema, "")}export type ${name} = ${typeOf(schema, "answered")};\n`),
    ...calls.flatMap((call) => argsOf(call).declaration ?? []),
    `export interface Methods {\n${calls.map(methodOf).join("\n")}}\n`,
    "/** The method and the address of each call. Bytes are what its body is, or its answer. */",
    `export const ADDRESSES: Record<keyof Methods, [method: string, path: string, bytes?: "sent" | "answered"]> = {\n${calls.map(addressOf).join("")}};\n`,
  ].join("\n");
}

const addressOf = (call: Operation & { path: string; method: string }) => {
  // The client sends the arguments of a GET and a DELETE in the query, and those of others in the body.
  const misplaced = /^(get|delete)$/.test(call.method)
    ? call.requestBody
    : call.parameters?.find((each) => each.in === "query");
  if (misplaced) throw new Error(`The client cannot send what ${call.operationId} takes.`);
  const bytes = call.requestBody?.content["*/*"] ? ', "sent"' : givesBytes(call) ? ', "answered"' : "";
  return `  ${call.operationId}: ["${call.method.toUpperCase()}", "${call.path}"${bytes}],\n`;
};

const successes = ({ responses }: Operation) => Object.entries(responses).filter(([status]) => status < "300");
function jsonOf(call: Operation, ...statuses: string[]): Schema[] {
  const named = successes(call).filter(([status]) => statuses.length === 0 || statuses.includes(status));
  const all = named.map(([, { content }]) => content?.["application/json"]?.schema);
  return all.filter((schema) => schema !== undefined);
}
const givesBytes = (call: Operation) =>
  jsonOf(call).length === 0 && successes(call).some(([, { content }]) => content !== undefined);

/** The call's method, with what it does above it. A call whose answer depends on what is asked for has a signature for each. */
function methodOf(call: Operation): string {
  const { operationId, summary, description, parameters } = call;
  const { fields, type, isRequired } = argsOf(call);
  const headers = parameters.filter((each) => each.in === "header").map(({ name }) => JSON.stringify(name));
  const options = headers.length > 0 ? `Options<${headers.join(" | ")}>` : "Options";
  const signature = (answer: string, args = `args${isRequired ? "" : "?"}: ${type}`, how = `options?: ${options}`) =>
    `  ${operationId}(${args}, ${how}): Promise<${answer}>;\n`;
  const doc = docOf({ description: `${summary}. ${description}` }, "  ");
  const schemas = jsonOf(call);
  const [whole, slim] = schemas[0]?.items?.anyOf ?? [];
  if (whole && slim && "fields" in fields)
    return doc + signature(listOf(call, slim), `args: ${type} & { fields: "slim" }`) + signature(listOf(call, whole));
  if (headers.includes('"Prefer"')) {
    const waited = typeOf({ anyOf: schemas.flatMap((schema) => schema.anyOf ?? [schema]) }, "answered");
    const waiting = `options: ${options} & { headers: { Prefer: string } }`;
    const [created = {}] = jsonOf(call, "201");
    return doc + signature(waited, `args: ${type}`, waiting) + signature(typeOf(created, "answered"));
  }
  return doc + signature(answerOf(call, schemas));
}

function answerOf(call: Operation, schemas: Schema[]): string {
  if (givesBytes(call)) return "Response";
  const [schema] = schemas;
  if (schema === undefined) return "undefined";
  const type = schema.type === "array" ? listOf(call, schema.items ?? {}) : typeOf(schema, "answered", "  ");
  return call.responses[204] ? `${type} | undefined` : type;
}

function listOf({ responses }: Operation, record: Schema): string {
  const type = typeOf(record, "answered");
  return "Link" in (responses[200]?.headers ?? {}) ? `Page<${type}>` : arrayOf(type);
}

/** What the method is given: the parameters of the address and of the query, and the fields of the body, side by side. */
function argsOf({ operationId, parameters, requestBody }: Operation) {
  const fields: Record<string, Schema> = {};
  const required: string[] = [];
  for (const { name, in: place, description, schema } of parameters) {
    if (place === "header") continue;
    const type: Schema = isNumberAsText(schema) ? { anyOf: [{ type: "number" }, { type: "string" }] } : schema;
    fields[name] = { ...type, ...(description !== undefined && { description }) };
    if (place === "path") required.push(name);
  }
  const body = requestBody?.content["application/json"]?.schema;
  for (const [name, schema] of Object.entries(body?.properties ?? {})) {
    if (name in fields) throw new Error(`${operationId} has ${name} both in its address and in its body.`);
    fields[name] = schema;
  }
  required.push(...(body?.required ?? []));
  const isUpload = requestBody?.content["*/*"] !== undefined;
  if (Object.keys(fields).length === 0) return { fields, isRequired: false, type: "Record<string, never>" };
  const type = `${operationId.replace(/^./, (first) => first.toUpperCase())}Args`;
  const all = typeOf({ type: "object", properties: fields, required }, "sent");
  const declaration = `export type ${type} = ${all}${isUpload ? " & { bytes: Bytes }" : ""};\n`;
  return { fields, isRequired: required.length > 0, type, declaration };
}

/** True for a number in the query, which is a text there. The client takes it as a number too. */
function isNumberAsText({ pattern }: Schema): boolean {
  return pattern !== undefined && new RegExp(pattern).test("1") && !new RegExp(pattern).test("a");
}
