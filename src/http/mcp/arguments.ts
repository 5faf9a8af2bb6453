import { z } from "zod";
import { InvalidValue } from "../parse-request.ts";
import type { RouteFacts } from "../route.ts";
import { type Tool, waitArgument } from "./tools.ts";

export type Arguments = Record<string, unknown>;

/** What a call is made with. */
export interface CallInput {
  params: Record<string, string>;
  query: Record<string, string>;
  body: Arguments;
}

const paramsOf = (path: string) => [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);

/** The JSON Schema of a tool's arguments: what the path, the query and the body of its call take. */
export function inputSchemaOf({ query = {}, waits }: Tool, route: RouteFacts): Record<string, unknown> {
  const inPath = paramsOf(route.path).map((name) => [name, z.string()]);
  // Where the client does not choose, there is no argument.
  const inQuery = Object.entries(route.query?.shape ?? {}).filter(([name]) => name !== "fields" || !(name in query));
  const shape = z.object({
    ...Object.fromEntries([...inPath, ...inQuery]),
    ...(waits && { wait_seconds: waitArgument }),
  });
  const { $schema: _one, ...own } = toJsonSchema(shape);
  if (!route.schema) return own;
  const { $schema: _other, ...body } = toJsonSchema(route.schema);
  return {
    ...body,
    properties: { ...(own.properties as object), ...(body.properties as object) },
    required: [...((own.required as string[] | undefined) ?? []), ...((body.required as string[] | undefined) ?? [])],
  };
}

function toJsonSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

/**
 * Divides a tool's arguments among the path, the query and the body of its call, which checks them as it does for every client. Numbers may stand
 * for texts in the query. Throws InvalidValue.
 */
export function divideArguments({ query = {} }: Tool, route: RouteFacts, given: Arguments): CallInput {
  const input: CallInput = { params: {}, query: { ...query }, body: {} };
  const inPath = paramsOf(route.path);
  for (const name of inPath) {
    const value = given[name];
    // Half a surrogate pair cannot stand in an address.
    if (typeof value !== "string" || value === "" || !value.isWellFormed())
      throw new InvalidValue(`${name} is needed, as a text.`);
    input.params[name] = value;
  }
  for (const [name, value] of Object.entries(given)) {
    if (inPath.includes(name)) continue;
    if (route.method === "get") input.query[name] = textOf(name, value);
    else input.body[name] = value;
  }
  return input;
}

function textOf(name: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.map((each) => textOf(name, each)).join(",");
  throw new InvalidValue(`${name} must be a text, a number or a list of them.`);
}
