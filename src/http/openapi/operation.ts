import { FORM_CALLS, type FormCall, type FormCallName, textOf } from "../../contract/form-fields.ts";
import { refusal } from "../../contract/service-answers.ts";
import type { Answer } from "../answer-declarations.ts";
import type { RouteFacts } from "../route.ts";
import { exampleOf } from "./example.ts";
import { ANSWER_HEADERS, REQUEST_HEADERS } from "./headers.ts";
import type { Answered, Content, Operation, Parameter } from "./operation-object.ts";
import { refusalsOf } from "./refusals.ts";
import type { Schema, Schemas } from "./schemas.ts";

/** The operation object of a call, with its own answers and those that every such call may be refused with. */
export function operationOf(route: RouteFacts, schemas: Schemas): Operation {
  const { name, summary, description, access, form, ownKey } = route;
  const body = bodyOf(route, schemas);
  const sentences = [
    description,
    form && "Its fields may also be sent as query parameters or as a form.",
    access === "anybody"
      ? "Open: it needs no key."
      : `For keys with the role ${[...access, "admin"].map((role) => `\`${role}\``).join(", ")}.`,
    ownKey && `\`${ownKey}\` opens it too.`,
  ];
  return {
    operationId: name,
    summary,
    description: sentences.filter(Boolean).join(" "),
    tags: [tagOf(route.path)],
    parameters: parametersOf(route, schemas),
    ...(body && { requestBody: body }),
    responses: { ...refusalsOf(route), ...answersOf(route, schemas) },
    security: access === "anybody" ? [] : [{ key: [] }, ...(ownKey ? [{ [ownKey]: [] }] : [])],
  };
}

/** The groups of calls, by the first word of their address behind `/api/runtime`. */
const GROUPS: Record<string, string> = {
  "llm-tasks": "tasks",
  workers: "workers",
  accounts: "accounts",
  artifacts: "artifacts",
  keys: "keys",
  webhooks: "webhooks",
  leases: "records",
  runs: "records",
  audit: "records",
  events: "records",
  stats: "records",
  overview: "records",
  whoami: "service",
  usage: "records",
  "worker.sh": "workers",
  "agent-install-script": "workers",
  health: "service",
  config: "service",
  projects: "service",
  "webhook-deliveries": "webhooks",
  "test-connection": "service",
  "openapi.json": "service",
};

function tagOf(path: string): string {
  const [, , area = "service", word = ""] = path.split("/");
  if (area === "runtime") return named(GROUPS, word, "GROUPS");
  return area === "membridge" ? area : "service";
}

/** What the parameter behind this word of an address is. */
const PARAMETERS: Record<string, string> = {
  workers: "The worker's name.",
  accounts: "The account's name.",
  keys: "The key's name.",
  webhooks: "The webhook's id.",
  "webhook-deliveries": "The delivery's id.",
  artifacts: "The artifact's id.",
  "llm-tasks": "The task's id.",
  projects: "The project's id in Membridge.",
  files: "The file's name.",
  console: "The page's name.",
  ":page": "The id of the page's record.",
  input: "`context_hints`, `structured_input`, `attachments`, `tracing` or `output_schema`.",
};

/** What the list says of a word of an address. Throws an Error where the list does not have the word. */
function named(list: Record<string, string>, word: string, name: string): string {
  const words = list[word];
  if (words === undefined) throw new Error(`${name} in src/http/openapi/operation.ts has no "${word}". Add it.`);
  return words;
}

const TEXT: Schema = { type: "string" };

function parametersOf({ path, query, headers = [] }: RouteFacts, schemas: Schemas): Parameter[] {
  const segments = path.split("/");
  const inPath = segments.flatMap((segment, at) => {
    if (!segment.startsWith(":")) return [];
    const description = named(PARAMETERS, segments[at - 1] ?? "", "PARAMETERS");
    return [{ name: segment.slice(1), in: "path" as const, required: true, description, schema: TEXT }];
  });
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const { description, ...sent } = schemas.sent(schema);
    return { name, in: "query" as const, ...(description !== undefined && { description }), schema: sent };
  });
  const inHeaders = headers.map((name) => ({
    name,
    in: "header" as const,
    description: REQUEST_HEADERS[name],
    schema: TEXT,
  }));
  return [...inPath, ...inQuery, ...inHeaders];
}

function bodyOf({ method, schema, form, body = method === "get" ? "none" : "short" }: RouteFacts, schemas: Schemas) {
  if (body === "raw")
    return { required: true, content: { "*/*": { schema: {}, example: "The bytes of the output." } } };
  if (body === "none" || schema === undefined) return undefined;
  const sent = schemas.sent(schema);
  const isRequired = (sent.required ?? []).length > 0;
  return {
    required: isRequired,
    content: {
      "application/json": { schema: sent, example: exampleOf(sent, schemas.components) },
      ...(form && bodiesWithoutJson(form, sent)),
    },
  };
}

/** The bodies without JSON that a worker's call may have: a form of the same fields, and for some the text itself. */
function bodiesWithoutJson(form: FormCallName, sent: Schema): Content {
  const { fields, inner }: FormCall = FORM_CALLS[form];
  const all = sent.properties ?? {};
  const within = inner && withoutNull(all[inner.name] ?? {}).properties;
  const properties = Object.fromEntries(Object.keys(fields).map((name) => [name, within?.[name] ?? all[name] ?? {}]));
  const text = textOf(form);
  return {
    "application/x-www-form-urlencoded": { schema: { type: "object", properties } },
    ...(text && {
      "text/plain": {
        schema: { type: "string", description: `The field \`${text.field}\`; the others are query parameters.` },
      },
    }),
  };
}

function withoutNull(schema: Schema): Schema {
  return schema.anyOf?.find(({ type }) => type !== "null") ?? schema;
}

/** The answers that the call declares. */
function answersOf({ answers }: RouteFacts, schemas: Schemas): Record<string, Answered> {
  const all = Object.entries(answers as Record<string, Answer | string>);
  return Object.fromEntries(
    all.map(([status, declared]) => {
      const { means, json, other = {}, headers = [] } = spelledOut(status, declared);
      const content = {
        ...(json && { "application/json": mediaOf(schemas.answered(json), schemas) }),
        ...Object.fromEntries(
          Object.entries(other).map(([type, description]) => {
            const isJson = type === "application/json";
            return [type, { schema: isJson ? { description } : { type: "string", description } }];
          }),
        ),
      };
      const named = headers.map((header) => [
        header,
        { description: ANSWER_HEADERS[header], schema: { type: "string" } },
      ]);
      return [
        status,
        {
          description: means,
          ...(named.length > 0 && { headers: Object.fromEntries(named) }),
          ...(Object.keys(content).length > 0 && { content }),
        },
      ];
    }),
  );
}

function spelledOut(status: string, declared: Answer | string): Answer {
  if (typeof declared !== "string") return declared;
  const isRefusal = status === "default" || Number(status) >= 400;
  return { means: declared, ...(isRefusal && { json: refusal }) };
}

function mediaOf(schema: Schema, { components }: Schemas): Content[string] {
  return { schema, example: exampleOf(schema, components) };
}
